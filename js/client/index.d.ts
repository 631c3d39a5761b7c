/** What `init` takes. Given again, it changes what is given. */
export interface InitOptions {
  /** The address of your server, such as `https://cloud.example.com`; in a Mini Program one of its request domains. */
  endpoint?: string
  /** As `wx.cloud.init` takes it: for what is passed on to WeChat's own `wx.cloud`. Your server has one environment. */
  env?: string
  traceUser?: boolean
  /** Gives a code of `wx.login`, where there is no `wx.login`; a new one at each call. */
  login?: () => string | Promise<string>
  /** A simulated user's name: codes and open data come from the simulator, which `yunqiao dev` serves beside `endpoint` at port 8788. */
  simulate?: string | { user: string; wechat?: string }
}

export interface CallFunctionResult {
  /** What the function gave; `undefined` if it gave nothing. */
  result: any
  errMsg: string
  /** By which the call is found in the server's log. */
  requestID: string
}

/** What a call fails with: an `Error` with WeChat's code, or -1, and `cloud.callFunction:fail …`. */
export interface CloudError extends Error {
  errCode: number
  errMsg: string
  requestID?: string
}

export interface CallFunctionOptions {
  name: string
  /** At most five of its top-level fields may be a `CloudID`. */
  data?: Record<string, any>
  /** Taken, and without effect: your server has one environment. */
  config?: { env?: string; traceUser?: boolean }
  /** Taken, and without effect. */
  slow?: boolean
}

export interface Callbacks {
  success?: (res: CallFunctionResult) => void
  fail?: (err: CloudError) => void
  complete?: (outcome: CallFunctionResult | CloudError) => void
}

type NoCallbacks = { success?: undefined; fail?: undefined; complete?: undefined }

/** Marks a field of `data` as a cloudID, to be replaced by the open data that it stands for. */
export interface CloudID {
  readonly cloudID: string
}
export interface CloudIDConstructor {
  new (cloudID: string): CloudID
  (cloudID: string): CloudID
}

export interface Cloud {
  /** @throws {CloudError} if there is no `endpoint` */
  init(options?: InitOptions): void
  callFunction(options: CallFunctionOptions & NoCallbacks): Promise<CallFunctionResult>
  callFunction(options: CallFunctionOptions & Callbacks): void
  CloudID: CloudIDConstructor
}

export const init: Cloud['init']
export const callFunction: Cloud['callFunction']
export const CloudID: CloudIDConstructor

/**
 * Puts the cloud at `wx.cloud`, and a `cloudID` into the results of the APIs and buttons that hand out open data. What is
 * not served is passed on to WeChat's own `wx.cloud`. To be called before the first `Page` and `Component`.
 */
export function install<Original = unknown>(wx: {
  cloud?: Original
  request: (...args: any[]) => any
}): Cloud & Omit<Original, keyof Cloud>

declare global {
  // So that `wx.cloud.init({ endpoint })` is taken by miniprogram-api-typings.
  interface ICloudConfig extends Pick<InitOptions, 'endpoint' | 'login' | 'simulate'> {}
}
