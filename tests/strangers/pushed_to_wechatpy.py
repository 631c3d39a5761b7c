"""A push server built on wechatpy: for XML all of it is wechatpy's; JSON it decrypts, and leaves to be read. It can push, too."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import xmltodict
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.replies import TransferCustomerServiceReply
from wechatpy.utils import WeChatSigner, check_signature

import talk

TOKEN = talk.SETTINGS["token"]
crypto = WeChatCrypto(TOKEN, talk.SETTINGS["encodingAESKey"], talk.SETTINGS["appid"])
received = []


def taken(query, body, is_json):
    """What a push is answered."""
    timestamp, nonce = query["timestamp"], query["nonce"]
    check_signature(TOKEN, query["signature"], timestamp, nonce)
    encrypted = query.get("encrypt_type", "raw") == "aes"
    if encrypted:
        sent = json.loads(body) if is_json else body
        body = crypto.decrypt_message(sent, query["msg_signature"], timestamp, nonce)
    if is_json:
        received.append(json.loads(body))
        return "success"
    message = parse_message(body)
    received.append({"class": type(message).__name__, "user": message.source, "app": message.target, **message._data})
    # One that it does not know has a type of its own.
    if message._data["MsgType"] == "event":
        return "success"
    reply = TransferCustomerServiceReply(message=message).render()
    return crypto.encrypt_message(reply, nonce, timestamp) if encrypted else reply


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        query = {name: texts[0] for name, texts in parse_qs(urlsplit(self.path).query).items()}
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            status, text = 200, taken(query, body, self.headers["content-type"].startswith("application/json"))
        except Exception as error:
            status, text = 403, type(error).__name__
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def sealed(packet, timestamp, nonce):
    """A packet as WeChat encrypts it, with the signature of the request and its own."""
    signer = WeChatSigner()
    signer.add_data(TOKEN, timestamp, nonce)
    sent = xmltodict.parse(crypto.encrypt_message(packet, nonce, timestamp))["xml"]
    return {"signature": signer.signature, "msg_signature": sent["MsgSignature"], "encrypt": sent["Encrypt"]}


def opened(answer):
    """What the other side answered."""
    said = json.loads(answer) if answer.startswith("{") else xmltodict.parse(answer)["xml"]
    return crypto.decrypt_message(said, said["MsgSignature"], str(said["TimeStamp"]), said["Nonce"])


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
talk.listen(
    {
        "url": lambda: f"http://127.0.0.1:{server.server_port}/",
        "received": lambda: [received.pop(0) for _ in received[:]],
        "seal": sealed,
        "open": opened,
    }
)
