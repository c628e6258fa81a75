"""What happened: records, columns, how the axes join; files in and out."""

from stepcredit.data.arrays import from_arrays, scatter
from stepcredit.data.batch import Batch
from stepcredit.data.encode import encode
from stepcredit.data.flat import from_columns
from stepcredit.data.layout import Layout, Paths, Tree
from stepcredit.data.reading import Reading, read, stream
from stepcredit.data.records import Blame, Message, Origin, Rollout, Step, Tokens, ToolCall, replies_of
from stepcredit.data.writing import AdvantageWriter, Writer, write

__all__ = [
    "AdvantageWriter",
    "Batch",
    "Blame",
    "Layout",
    "Message",
    "Origin",
    "Paths",
    "Reading",
    "Rollout",
    "Step",
    "Tokens",
    "ToolCall",
    "Tree",
    "Writer",
    "encode",
    "from_arrays",
    "from_columns",
    "read",
    "replies_of",
    "scatter",
    "stream",
    "write",
]
