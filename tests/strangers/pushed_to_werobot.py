"""A push server that is WeRoBot, as its `run` serves it."""

import logging
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

from werobot import WeRoBot
from werobot.replies import TransferCustomerServiceReply

import talk

robot = WeRoBot(
    enable_session=False,
    token=talk.SETTINGS["token"],
    app_id=talk.SETTINGS["appid"],
    # With a key it encrypts whatever it answers.
    **({"encoding_aes_key": talk.SETTINGS["aesKey"]} if talk.SETTINGS["mode"] != "plain" else {}),
)
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


server = make_server("127.0.0.1", 0, robot.wsgi, handler_class=Silent)
threading.Thread(target=server.serve_forever, daemon=True).start()
talk.listen({"url": lambda: f"http://127.0.0.1:{server.server_port}/", "received": lambda: [received.pop(0) for _ in received[:]]})
