"use strict";
const cloud = require("wx-server-sdk");
exports.main = async () => cloud.openapi.wxacode.getUnlimited({ scene: "a" });
