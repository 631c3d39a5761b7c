//! The client of api.weixin.qq.com: token keeper, code2Session, getopendata.
