"""The log: a line for each fact, with ids and never with what is on a receipt, of whom an order is, or a secret."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from config.cloud import Log

TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, part, text, and error where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "part": record.name, "text": record.getMessage()}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(log: Log) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log.format == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=log.level.upper(), handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)
