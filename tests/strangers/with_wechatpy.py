"""A backend built on wechatpy. It believes that it talks to api.weixin.qq.com: only the connection leads elsewhere."""

import base64

import requests
from wechatpy import WeChatClient
from wechatpy.crypto import WeChatWxaCrypto
from wechatpy.exceptions import WeChatClientException
from wechatpy.utils import check_wxa_signature

import talk

WECHAT = "https://api.weixin.qq.com"
APPID = talk.SETTINGS["appid"]


class Elsewhere(requests.adapters.HTTPAdapter):
    def send(self, request, **how):
        request.url = request.url.replace(WECHAT, talk.SETTINGS["wechat"], 1)
        return super().send(request, **how)


client = WeChatClient(APPID, talk.SETTINGS["secret"])
client._http.trust_env = False
client._http.mount(WECHAT, Elsewhere())


def call(path, token, body):
    """With this token, and as it is: without another try."""
    client.auto_retry = False
    try:
        if body is None:
            return client.get(WECHAT + path, params={"access_token": token})
        return client.post(WECHAT + path, params={"access_token": token}, data=body)
    finally:
        client.auto_retry = True


def file(name, kind, data):
    return name, base64.b64decode(data), kind


talk.listen(
    {
        "log_in": client.wxa.code_to_session,
        "decrypt": lambda key, iv, data: WeChatWxaCrypto(key, iv, APPID).decrypt_message(data),
        "verify": lambda key, raw_data, signature: check_wxa_signature(key, raw_data, signature) or True,
        "token": lambda: client.access_token,
        "refresh": lambda: client.fetch_access_token()["access_token"],
        "call": call,
        "subscribe_message": client.wxa.send_subscribe_message,
        "text_message": client.message.send_text,
        "code": lambda scene, page: client.wxa.get_wxa_code_unlimited(scene, page=page).content,
        "upload": lambda name, kind, data: client.media.upload("image", file(name, kind, data)),
        "check_text": client.wxa.check_text_security,
        "check_image": lambda name, kind, data: client.wxa.check_image_security(file(name, kind, data)),
        "paid_unionid": client.wxa.get_paid_unionid,
        "invoke": client.cloud.invoke_cloud_function,
    },
    WeChatClientException,
)
