/*
 * The types of miniprogram-api-typings 5.2.3 for what is here, so that a `wx` of tests stands where the real one is
 * expected. What is ours is below `simulator`.
 */

/** Makes a `wx` of its own: one phone, in one user's hand, on a simulated WeChat. */
export function createWx(options?: CreateWxOptions): Wx

export interface CreateWxOptions {
  /** Where the simulated WeChat listens, such as `http://127.0.0.1:8788`. By default YUNQIAO_WECHAT_URL. */
  wechat?: string
  /** In whose hand the phone is: the name of one of the simulator's users. By default `alice`. */
  user?: string
  /** `false` lets getUserProfile and requestSubscribeMessage be called without a tap. By default `true`. */
  gestures?: boolean
  /** The simulated app's, for getAccountInfoSync before anything was asked of the simulator. */
  appid?: string
}

type AnyObject = Record<string, any>

/** Nothing where a callback is given, and a promise of what success gets where none is. */
type Answer<Given, Option extends { success?: (result: any) => void }> = Given extends { success: any }
  ? void
  : Given extends { fail: any }
    ? void
    : Given extends { complete: any }
      ? void
      : Promise<Parameters<Exclude<Option['success'], undefined>>[0]>

interface Callbacks<Result, Failed = GeneralResult, Either = GeneralResult> {
  success?: (result: Result) => void
  fail?: (error: Failed) => void
  complete?: (result: Either) => void
}

export interface GeneralResult {
  errMsg: string
}

export interface LoginOption extends Callbacks<LoginResult, LoginError> {
  /** Milliseconds. */
  timeout?: number
}

export interface LoginResult {
  /** For the backend to exchange at code2Session, once and within 5 minutes. */
  code: string
  errMsg: string
}

export interface LoginError {
  errMsg: string
  errno: number
}

export interface CheckSessionOption extends Callbacks<GeneralResult> {}

export interface UserInfo {
  nickName: string
  avatarUrl: string
  gender: 0 | 1 | 2
  country: string
  province: string
  city: string
  language: 'en' | 'zh_CN' | 'zh_TW'
}

/** What is encrypted with the user's session_key. */
export interface OpenData {
  encryptedData: string
  iv: string
  /** As in the real one not there where the app has no Cloud Development, whatever the type says. */
  cloudID: string
  errMsg: string
}

export interface UserInfoResult extends OpenData {
  userInfo: UserInfo
  rawData: string
  /** sha1(rawData + session_key), in hex. */
  signature: string
}

export interface GetUserInfoOption extends Callbacks<UserInfoResult> {
  lang?: 'en' | 'zh_CN' | 'zh_TW'
  /** `false` needs no login, and gives neither signature nor encrypted data. By default `true`. */
  withCredentials?: boolean
}

export interface GetUserProfileOption extends Callbacks<UserInfoResult> {
  /** What for: 1 to 30 characters. */
  desc: string
  lang?: 'en' | 'zh_CN' | 'zh_TW'
}

export interface GetWeRunDataOption extends Callbacks<OpenData> {}

export interface GetShareInfoOption extends Callbacks<OpenData> {
  shareTicket: string
  /** Milliseconds. */
  timeout?: number
}

export interface GetGroupEnterInfoOption
  extends Callbacks<OpenData, GetGroupEnterInfoError, GetGroupEnterInfoError> {
  allowSingleChat?: boolean
  needGroupOpenID?: boolean
}

export interface GetGroupEnterInfoError {
  errMsg: string
  /** 40097 where the app was not opened from a group. */
  errCode: number
}

export interface RequestSubscribeMessageOption
  extends Callbacks<RequestSubscribeMessageResult, RequestSubscribeMessageError> {
  tmplIds: any[]
}

/** By template id: `accept` or `reject`. */
export interface RequestSubscribeMessageResult {
  [templateId: string]: string
  errMsg: string
}

export interface RequestSubscribeMessageError {
  errCode: number
  errMsg: string
}

export interface AuthorizeOption extends Callbacks<GeneralResult> {
  scope: string
}

export interface GetSettingOption extends Callbacks<GetSettingResult> {
  withSubscriptions?: boolean
}

export interface GetSettingResult {
  authSetting: { [scope: `scope.${string}`]: boolean | undefined }
  /** As in the real one only there if asked for by `withSubscriptions`, whatever the type says. */
  subscriptionsSetting: { mainSwitch: boolean; itemSettings?: AnyObject }
  errMsg: string
}

export interface RequestOption<T extends string | AnyObject | ArrayBuffer = string | AnyObject | ArrayBuffer>
  extends Callbacks<RequestResult<T>, RequestError> {
  url: string
  data?: string | AnyObject | ArrayBuffer
  /** By default `content-type: application/json`. */
  header?: AnyObject
  method?: 'OPTIONS' | 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'TRACE' | 'CONNECT'
  /** Anything but `json`, which is the default, leaves text as it is. */
  dataType?: string
  responseType?: 'text' | 'arraybuffer'
  /** Milliseconds; by default 60000. */
  timeout?: number
  /** Tells of chunks as they come. */
  enableChunked?: boolean
  redirect?: 'follow' | 'manual'
}

export interface RequestResult<
  T extends string | AnyObject | ArrayBuffer = string | AnyObject | ArrayBuffer,
> {
  data: T
  statusCode: number
  /** Names as the server wrote them; values of a name that came twice are joined with a comma. */
  header: AnyObject
  cookies: string[]
  exception: RequestException
  errMsg: string
}

export interface RequestException {
  retryCount: number
  reasons: { errMsg: string; errno: string }[]
}

export interface RequestError {
  errMsg: string
  errno: number
}

export interface RequestHead {
  statusCode: number
  header: AnyObject
  cookies: string[]
}

export interface RequestTask {
  abort(): void
  onHeadersReceived(listener: (head: RequestHead) => void): void
  /** Without a listener all are meant. */
  offHeadersReceived(listener?: (head: RequestHead) => void): void
  onChunkReceived(listener: (chunk: { data: ArrayBuffer }) => void): void
  /** Without a listener all are meant. */
  offChunkReceived(listener?: (chunk: { data: ArrayBuffer }) => void): void
}

export interface UploadFileOption extends Callbacks<UploadFileResult> {
  url: string
  /** A file of this machine. */
  filePath: string
  /** Of the form's part that has the file. */
  name: string
  header?: AnyObject
  formData?: AnyObject
  /** Milliseconds. */
  timeout?: number
}

export interface UploadFileResult extends GeneralResult {
  data: string
  statusCode: number
}

export interface DownloadFileOption extends Callbacks<DownloadFileResult> {
  url: string
  header?: AnyObject
  /** Where it is kept; without it among this machine's temporary files. */
  filePath?: string
  /** Milliseconds. */
  timeout?: number
}

export interface DownloadFileResult extends GeneralResult {
  tempFilePath: string
  filePath: string
  statusCode: number
}

/** A file on its way; `Progress` says how far it has come. */
export interface FileTask<Progress> {
  abort(): void
  onHeadersReceived(listener: (head: RequestHead) => void): void
  /** Without a listener all are meant. */
  offHeadersReceived(listener?: (head: RequestHead) => void): void
  onProgressUpdate(listener: (progress: Progress) => void): void
  /** Without a listener all are meant. */
  offProgressUpdate(listener?: (progress: Progress) => void): void
}

export interface UploadProgress {
  progress: number
  totalBytesSent: number
  totalBytesExpectedToSend: number
}

export interface DownloadProgress {
  progress: number
  totalBytesWritten: number
  totalBytesExpectedToWrite: number
}

export interface ConnectSocketOption extends Callbacks<GeneralResult> {
  /** `ws:` or `wss:`. */
  url: string
  header?: AnyObject
  protocols?: string[]
  /** Milliseconds until it is open. */
  timeout?: number
}

/** How long a connection took: moments and spans in milliseconds. */
export interface SocketProfile {
  fetchStart: number
  domainLookUpStart: number
  domainLookUpEnd: number
  connectStart: number
  connectEnd: number
  rtt: number
  handshakeCost: number
  cost: number
}

export interface SocketTask {
  readonly readyState: number
  send(option: Callbacks<GeneralResult> & { data: string | ArrayBuffer }): void
  close(option?: Callbacks<GeneralResult> & { code?: number; reason?: string }): void
  onOpen(listener: (event: { header: AnyObject; profile: SocketProfile }) => void): void
  onMessage(listener: (event: { data: string | ArrayBuffer }) => void): void
  onClose(listener: (event: { code: number; reason: string }) => void): void
  onError(listener: (event: { errMsg: string }) => void): void
}

export interface Wx {
  login<T extends LoginOption = LoginOption>(option?: T): Answer<T, LoginOption>
  checkSession<T extends CheckSessionOption = CheckSessionOption>(option?: T): Answer<T, CheckSessionOption>
  getUserInfo<T extends GetUserInfoOption = GetUserInfoOption>(option?: T): Answer<T, GetUserInfoOption>
  getUserProfile<T extends GetUserProfileOption = GetUserProfileOption>(
    option: T,
  ): Answer<T, GetUserProfileOption>
  getWeRunData<T extends GetWeRunDataOption = GetWeRunDataOption>(option?: T): Answer<T, GetWeRunDataOption>
  getShareInfo<T extends GetShareInfoOption = GetShareInfoOption>(option: T): Answer<T, GetShareInfoOption>
  getGroupEnterInfo<T extends GetGroupEnterInfoOption = GetGroupEnterInfoOption>(
    option?: T,
  ): Answer<T, GetGroupEnterInfoOption>
  requestSubscribeMessage<T extends RequestSubscribeMessageOption = RequestSubscribeMessageOption>(
    option: T,
  ): Answer<T, RequestSubscribeMessageOption>
  authorize<T extends AuthorizeOption = AuthorizeOption>(option: T): Answer<T, AuthorizeOption>
  getSetting<T extends GetSettingOption = GetSettingOption>(option?: T): Answer<T, GetSettingOption>
  request<T extends string | AnyObject | ArrayBuffer = string | AnyObject | ArrayBuffer>(
    option: RequestOption<T>,
  ): RequestTask
  uploadFile(option: UploadFileOption): FileTask<UploadProgress>
  downloadFile(option: DownloadFileOption): FileTask<DownloadProgress>
  /** A WebSocket; at most five at once. Nothing, where the options are refused. */
  connectSocket(option: ConnectSocketOption): SocketTask
  /** Of what there is in this `wx`. */
  canIUse(schema: string): boolean
  /** The document's `plugin` is there in plugins alone. */
  getAccountInfoSync(): {
    miniProgram: { appId: string; envVersion: 'develop' | 'trial' | 'release'; version: string }
  }
  /** What a test holds. Ours: the real `wx` has none of it. */
  readonly simulator: SimulatorHold
}

/** What a user allows once, and may take back. */
export type Scope =
  | 'scope.userInfo'
  | 'scope.userLocation'
  | 'scope.userFuzzyLocation'
  | 'scope.werun'
  | 'scope.record'
  | 'scope.writePhotosAlbum'
  | 'scope.camera'
  | 'scope.bluetooth'
  | 'scope.addPhoneContact'
  | 'scope.addPhoneCalendar'

/** What a user is asked each time. */
export type Dialog = 'getUserProfile' | 'getPhoneNumber' | 'requestSubscribeMessage'

export interface SimulatorHold {
  /** In whose hand the phone is. */
  readonly user: string
  /** Hands the phone to another user of the simulator. */
  as(user: string): void
  /** The user says no from now on. */
  deny(what: Scope | Dialog): void
  /** The user says yes from now on, as unless told otherwise. */
  allow(what: Scope | Dialog): void
  /** Runs a handler as bindtap does. The tap is over when it returns: not after an await. */
  tap<Given extends unknown[], Result>(handler: (...given: Given) => Result, ...given: Given): Result
  /** Taps a button of this open-type, calls the handler with the event, and gives the event. */
  tapButton(
    openType: 'getPhoneNumber',
    handler?: (event: ButtonEvent<PhoneNumberDetail>) => unknown,
  ): Promise<ButtonEvent<PhoneNumberDetail>>
  tapButton(
    openType: 'getUserInfo',
    handler?: (event: ButtonEvent<UserInfoDetail>) => unknown,
  ): Promise<ButtonEvent<UserInfoDetail>>
  /** Opens the app from its card in a group chat. */
  openFromGroup(): LaunchOptions & { shareTicket: string }
  /** Opens the app as one finds it in WeChat's list: how it was opened at first. */
  openFromList(): LaunchOptions
  /** Steps WeChat's time, for everybody on this simulator, and gives it: Unix seconds. */
  advanceClock(seconds: number): Promise<number>
  /** Gives the user a new session_key, as a login may. */
  rotateSessionKey(): Promise<void>
  /** The simulated app, for the backend under test. */
  app(): Promise<{ appid: string; secret: string; token: string; encodingAESKey: string }>
  /** `GET /sim/<path>`: everything else that the simulator tells. */
  get(path: string): Promise<any>
  /** `POST /sim/<path>`: everything else that the simulator takes. */
  post(path: string, body: unknown): Promise<any>
}

/** What App.onLaunch and App.onShow get. */
export interface LaunchOptions {
  path: string
  query: Record<string, string>
  scene: number
  referrerInfo: AnyObject
}

export interface ButtonEvent<Detail> {
  type: string
  timeStamp: number
  target: { id: string; dataset: AnyObject; offsetTop: number; offsetLeft: number }
  currentTarget: { id: string; dataset: AnyObject; offsetTop: number; offsetLeft: number }
  detail: Detail
}

/** `errMsg` alone where the user refused; `code` alone beside it where nobody is logged in. */
export interface PhoneNumberDetail {
  errMsg: string
  /** For getuserphonenumber, once and within 5 minutes. */
  code?: string
  encryptedData?: string
  iv?: string
  cloudID?: string
}

/** `errMsg` alone where the user refused. */
export interface UserInfoDetail extends Partial<UserInfoResult> {
  errMsg: string
}
