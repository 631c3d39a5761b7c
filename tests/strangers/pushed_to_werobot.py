"""A push server that is WeRoBot, as its `run` serves it. With its cryptography it can push, too."""

import json
import logging
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

from werobot import WeRoBot
from werobot.parser import parse_xml
from werobot.replies import TransferCustomerServiceReply
from werobot.utils import get_signature

import talk

robot = WeRoBot(
    token=talk.SETTINGS["token"],
    app_id=talk.SETTINGS["appid"],
    # With a key it encrypts whatever it answers.
    **({"encoding_aes_key": talk.SETTINGS["encodingAESKey"]} if talk.SETTINGS["mode"] != "plain" else {}),
)
# It would keep what users said in a file.
robot.config["SESSION_STORAGE"] = False
# It warns of every message that it has no reply to.
robot.logger.setLevel(logging.ERROR)
received = []


@robot.handler
def take(message):
    fields = {name: text for name, text in vars(message).items() if isinstance(text, (str, dict, list))}
    received.append({"class": type(message).__name__, "user": message.source, "app": message.target, **fields})
    if not message.type.endswith("_event"):
        return TransferCustomerServiceReply(message=message)


class Silent(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def sealed(packet, timestamp, nonce):
    """A packet as WeChat encrypts it, with the signature of the request and its own."""
    sent = parse_xml(robot.crypto.encrypt_message(packet, timestamp, nonce))
    signature = get_signature(robot.token, timestamp, nonce)
    return {"signature": signature, "msg_signature": sent["MsgSignature"], "encrypt": sent["Encrypt"]}


def opened(answer):
    """What the other side answered."""
    said = json.loads(answer) if answer.startswith("{") else parse_xml(answer)
    signed = str(said["TimeStamp"]), said["Nonce"], said["MsgSignature"]
    return robot.crypto.decrypt_message(*signed, said["Encrypt"]).decode()


server = make_server("127.0.0.1", 0, robot.wsgi, handler_class=Silent)
threading.Thread(target=server.serve_forever, daemon=True).start()
talk.listen(
    {
        "url": lambda: f"http://127.0.0.1:{server.server_port}/",
        "received": lambda: [received.pop(0) for _ in received[:]],
        "seal": sealed,
        "open": opened,
    }
)
