"""How a stranger is talked to: a line of JSON in, {"do": name, "with": arguments}, and a line of JSON out."""

import base64
import json
import os
import sys

SETTINGS = json.loads(sys.argv[1])
# What a library prints is no answer.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def answer(said):
    ANSWERS.write(json.dumps(said) + "\n")
    ANSWERS.flush()


def listen(deeds, refused=()):
    """Does what it is told until nobody tells any more. `refused` is the exception that has WeChat's errcode."""
    answer({"ok": "ready"})
    for line in sys.stdin:
        told = json.loads(line)
        try:
            done = deeds[told["do"]](*told["with"])
            answer({"ok": base64.b64encode(done).decode() if isinstance(done, bytes) else done})
        except refused as error:
            answer({"errcode": error.errcode, "errmsg": error.errmsg, "error": type(error).__name__})
        except Exception as error:
            answer({"error": type(error).__name__, "text": str(error)})
