"""The JSON Schemas of the API's fields."""

from exporter.datatrove.failure import FAILURE_REASONS

TEXT = {"type": "string"}
TEXT_OR_NULL = {"type": ["string", "null"]}
TEXT_BY_NAME = {"type": "object", "additionalProperties": {"type": "string"}}
TEXTS = {"type": "array", "items": TEXT}
FLAG = {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 0}
COUNT_OR_NULL = {"type": ["integer", "null"], "minimum": 0}
NUMBER = {"type": "number", "minimum": 0}
NUMBER_OR_NULL = {"type": ["number", "null"], "minimum": 0}
RATIO_OR_NULL = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
UPSTREAM = {
    "type": ["object", "null"],
    "additionalProperties": False,
    "required": ["root", "job_name", "via", "tasks", "tasks_completed"],
    "properties": {
        "root": TEXT,
        "job_name": TEXT,
        "via": {
            "enum": ["order", "depends", "slurm"],
            "description": "By what it was found: "
            "stage_order, the folder it waits for, or the Slurm array it waits for.",
        },
        "tasks": {**COUNT_OR_NULL, "description": "Null where it cannot be read."},
        "tasks_completed": COUNT_OR_NULL,
    },
}
MOST_RANKS = 1000
FAILURES = {
    "type": ["array", "null"],
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["type", "where", "reason", "message", "tasks", "ranks", "last_timestamp"],
        "properties": {
            "type": {**TEXT_OR_NULL, "description": "Class of the exception, where it is known and "
                     "show_errors is not none."},
            "where": {**TEXT_OR_NULL, "description": "Where it was raised, as file:function:line, "
                      "where that is known and show_errors is not none."},
            "reason": {"enum": [*FAILURE_REASONS], "description": "What kind of failure it is. "
                       "After twenty causes all others are together as other."},
            "message": {**TEXT_OR_NULL, "maxLength": 200, "description": "First line of its text, "
                        "where show_errors is text. Of the newest of these tasks."},
            "tasks": {**COUNT, "description": "How many tasks failed so."},
            "ranks": {"type": "array", "items": COUNT, "maxItems": MOST_RANKS,
                      "description": "Their ranks, as far as they are known."},
            "last_timestamp": {**NUMBER_OR_NULL, "description": "Unix time when the newest of "
                               "their logs was written last."},
        },
    },
}  # fmt: skip

STEPS = {
    "type": ["array", "null"],
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["step", "documents_in", "documents_out", "documents_dropped",
                     "dropped_ratio", "seconds"],
        "properties": {
            "step": {**TEXT, "description": "Its position, from 00, and the ASCII letters and "
                     "digits of its name, such as 02_filter_lambda."},
            "documents_in": {**COUNT_OR_NULL, "description": "Documents that it read, or that "
                             "came to it."},
            "documents_out": {**COUNT_OR_NULL, "description": "Documents that it let pass."},
            "documents_dropped": {**COUNT_OR_NULL, "description": "Documents that it dropped."},
            "dropped_ratio": {**RATIO_OR_NULL, "description": "Of those that came in."},
            "seconds": {**NUMBER, "description": "Time that tasks spent in it, all together."},
        },
    },
}  # fmt: skip
LEFT_OUT = {
    "type": ["object", "null"],
    "additionalProperties": False,
    "required": ["another_pipeline", "unusable", "not_read_yet"],
    "properties": {
        "another_pipeline": {**COUNT, "description": "Their pipeline has other steps than that of "
                             "the newest task."},
        "unusable": {**COUNT, "description": "Their file is missing, too large, broken or closed."},
        "not_read_yet": {**COUNT, "description": "A later scan comes to them."},
    },
}  # fmt: skip
