import cloud from 'wx-server-sdk'
export const main = async (): Promise<unknown> => cloud.openapi!.wxacode!.getUnlimited({ scene: 'a' })
