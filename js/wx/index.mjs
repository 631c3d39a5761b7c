import wx from './index.js'

export const createWx = wx.createWx
