/** What `init` takes. Given again, it changes what is given. */
export interface InitOptions {
  /** The address of your server, such as `https://cloud.example.com`; in a Mini Program one of its request domains. */
  endpoint?: string
  /** As `wx.cloud.init` takes it: for what is passed on to WeChat's own `wx.cloud`. Your server has one environment. */
  env?: string
  traceUser?: boolean
  /** Gives a code of `wx.login`, where there is no `wx.login`; a new one at each call. */
  login?: () => string | Promise<string>
  /** The appid of the Official Account whose page this is, where `login` gives a code of WeChat's authorize page (网页授权). */
  appid?: string
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

export interface Callbacks<Result = CallFunctionResult> {
  success?: (res: Result) => void
  fail?: (err: CloudError) => void
  complete?: (outcome: Result | CloudError) => void
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

/** Marks a field of `data` as content: it is uploaded, and the function gets its address. */
export interface CDN {
  readonly content: unknown
}
export interface CDNConstructor {
  new (content: string | ArrayBuffer | { type: 'filePath'; filePath: string }): CDN
  (content: string | ArrayBuffer | { type: 'filePath'; filePath: string }): CDN
}

/** Promise style without callbacks; with them, nothing but what stands in `Given`. */
export interface Api<Options, Result, Given = void> {
  (options: Options & NoCallbacks): Promise<Result>
  (options: Options & Callbacks<Result>): Given
}

/** The same, and the options may be missing. */
export interface BareApi<Result> {
  (options?: NoCallbacks): Promise<Result>
  (options: Callbacks<Result>): void
}

export interface Ok {
  errMsg: string
}

interface Config {
  /** Taken, and without effect: your server has one environment. */
  config?: { env?: string; traceUser?: boolean }
}

export interface UploadFileOptions extends Config {
  cloudPath: string
  /** A path on the phone. */
  filePath?: string
  /** Content instead of a path, in a browser or in Node. */
  file?: Blob | ArrayBuffer
  header?: Record<string, any>
  /** Milliseconds that it may take: half an hour where nothing is said. */
  timeout?: number
}
/** In a browser and in Node. */
interface Blob {
  readonly size: number
}
export interface UploadFileResult extends Ok {
  fileID: string
  statusCode: number
}
export interface DownloadFileOptions extends Config {
  fileID: string
  /** Milliseconds that it may take: half an hour where nothing is said. */
  timeout?: number
}
export interface DownloadFileResult extends Ok {
  /** On the phone. */
  tempFilePath: string
  /** Elsewhere, instead of it. */
  data?: ArrayBuffer
  statusCode: number
}
/** A file on its way. */
export interface FileTask {
  abort(): void
  onProgressUpdate(listener: (progress: any) => void): void
  offProgressUpdate(listener?: (progress: any) => void): void
  onHeadersReceived(listener: (head: any) => void): void
  offHeadersReceived(listener?: (head: any) => void): void
}
export interface FileListOptions<File> extends Config {
  /** At most 50. */
  fileList: File[]
}
export interface FileStatus {
  fileID: string
  /** 0 where all is well, else an errCode: a file that may not be read fails no others. */
  status: number
  errMsg: string
}
export interface TempFileURL extends FileStatus {
  tempFileURL: string
  /** Seconds. */
  maxAge: number
}

/** A cloud without a database of its own. */
export interface LiteCloud {
  /** @throws {CloudError} if there is no `endpoint` */
  init(options?: InitOptions): void
  callFunction: Api<CallFunctionOptions, CallFunctionResult>
  uploadFile: Api<UploadFileOptions, UploadFileResult, FileTask>
  downloadFile: Api<DownloadFileOptions, DownloadFileResult, FileTask>
  getTempFileURL: Api<
    FileListOptions<string | { fileID: string; maxAge?: number }>,
    Ok & { fileList: TempFileURL[] }
  >
  deleteFile: Api<FileListOptions<string>, Ok & { fileList: FileStatus[] }>
  /** The address of a file that all may read, by its id alone: for markup. What is no id stays what it is. */
  cloudUrl(id: string): string
  CloudID: CloudIDConstructor
  CDN: CDNConstructor
}

export interface Cloud extends LiteCloud {
  database(config?: { env?: string; throwOnNotFound?: boolean }): Database
  /** Another environment of the same server, which is the same. */
  Cloud: new (
    options?: Record<string, any>,
  ) => Omit<Cloud, 'init'> & { init(): Promise<void> }
}

type Fields = Record<string, any>

export interface Database {
  readonly config: Fields
  readonly command: Command
  readonly Geo: Geo
  collection(name: string): Collection
  serverDate(options?: { offset: number }): any
  RegExp(options: { regexp: string; options?: string }): any
}

export interface Query {
  where(condition: object): Query
  orderBy(field: string, direction: 'asc' | 'desc'): Query
  /** At most 20. */
  limit(most: number): Query
  skip(offset: number): Query
  /** Tells what the query finds, and each change of that; `field` and `skip` do not count here. At most 5000 documents. */
  watch(options: WatchOptions): Watcher
  field(fields: Fields): Query
  get: BareApi<Ok & { data: Fields[] }>
  count: BareApi<Ok & { total: number }>
  update: Api<{ data: Fields }, Ok & { stats: { updated: number } }>
  remove: BareApi<Ok & { stats: { removed: number } }>
}

export interface Collection extends Query {
  doc(id: string | number): Document
  add: Api<{ data: Fields }, Ok & { _id: string | number }>
  aggregate(): Aggregate
}

/** What a watch tells. */
export interface Snapshot {
  /** One more than that of the snapshot before. */
  id: number
  /** `init` where it is everything that there is; absent where it is a change. */
  type?: 'init'
  /** All documents, in the query's order. */
  docs: Fields[]
  docChanges: DocChange[]
}
export interface DocChange {
  id: number
  /** How the documents are other than before. */
  queueType: 'init' | 'update' | 'enqueue' | 'dequeue'
  /** What was done to it. */
  dataType: 'init' | 'update' | 'replace' | 'add' | 'remove' | 'limit'
  docId: any
  doc: Fields
  /** Of an `update`: top-level fields with their new values, and the names of those that are gone. */
  updatedFields?: any
  removedFields?: any
}
export interface WatchOptions {
  onChange: (snapshot: Snapshot) => void
  /** The watch has ended. */
  onError: (error: CloudError) => void
}
export interface Watcher {
  close(): Promise<void>
}

export interface Document {
  watch(options: WatchOptions): Watcher
  field(fields: Fields): Document
  get: BareApi<Ok & { data: Fields }>
  set: Api<{ data: Fields }, Ok & { _id: string | number; stats: { updated: number; created: number } }>
  update: Api<{ data: Fields }, Ok & { stats: { updated: number } }>
  remove: BareApi<Ok & { stats: { removed: number } }>
}

type Stage =
  | 'addFields'
  | 'bucket'
  | 'bucketAuto'
  | 'count'
  | 'geoNear'
  | 'group'
  | 'limit'
  | 'lookup'
  | 'match'
  | 'project'
  | 'replaceRoot'
  | 'sample'
  | 'skip'
  | 'sort'
  | 'sortByCount'
  | 'unwind'

/** A pipeline; the server refuses `lookup` to clients. */
export type Aggregate = { [stage in Stage]: (value: any) => Aggregate } & {
  end: BareApi<Ok & { list: Fields[] }>
}

type Comparison = 'eq' | 'neq' | 'gt' | 'gte' | 'lt' | 'lte' | 'elemMatch' | 'exists' | 'size'
type Lists = 'in' | 'nin' | 'all'
type Places = 'geoNear' | 'geoWithin' | 'geoIntersects'
type Changes = 'set' | 'inc' | 'mul' | 'min' | 'max' | 'rename' | 'bit' | 'pull' | 'pullAll' | 'addToSet'

/** A condition of a field; with more of them behind it, all have to hold. */
export type Condition = { [name in Comparison | Lists | Places]: (value: any) => Condition } & {
  mod(divisor: number | number[], remainder?: number): Condition
} & {
  [name in 'and' | 'or' | 'nor' | 'not']: (...conditions: any[]) => Condition
}

export type Command = { [name in Comparison | Places]: (value: any) => Condition } & {
  [name in Lists]: (values: any[]) => Condition
} & { [name in Changes]: (value: any) => any } & {
  [name in 'and' | 'or' | 'nor' | 'not']: (...conditions: any[]) => Condition
} & {
  [name in 'push' | 'unshift']: (...values: any[]) => any
} & {
  [name in 'pop' | 'shift' | 'remove']: () => any
} & {
  mod(divisor: number | number[], remainder?: number): Condition
  expr(expression: any): any
  readonly project: { slice(from: number | number[], most?: number): any; elemMatch(condition: any): any }
  /** Every operator of aggregates, by its name. */
  readonly aggregate: any
}

interface Shape<Given extends any[]> {
  new (...given: Given): any
  (...given: Given): any
}
export interface Geo {
  Point: Shape<[longitude: number, latitude: number]>
  MultiPoint: Shape<[points: any[]]>
  LineString: Shape<[points: any[]]>
  MultiLineString: Shape<[lines: any[]]>
  Polygon: Shape<[lines: any[]]>
  MultiPolygon: Shape<[polygons: any[]]>
}

export const init: Cloud['init']
export const callFunction: Cloud['callFunction']
export const database: Cloud['database']
export const uploadFile: Cloud['uploadFile']
export const downloadFile: Cloud['downloadFile']
export const getTempFileURL: Cloud['getTempFileURL']
export const deleteFile: Cloud['deleteFile']
export const cloudUrl: Cloud['cloudUrl']
export const CloudID: CloudIDConstructor
export const CDN: CDNConstructor
export const Cloud: Cloud['Cloud']

/**
 * Puts the cloud at `wx.cloud`, and a `cloudID` into the results of the APIs and buttons that hand out open data. What is
 * not served is passed on to WeChat's own `wx.cloud`. To be called before the first `Page` and `Component`.
 */
export function install<Original = unknown>(wx: {
  cloud?: Original
  request: (...args: any[]) => any
}): Original & Cloud

declare global {
  // So that `wx.cloud.init({ endpoint })` is taken by miniprogram-api-typings.
  interface ICloudConfig extends Pick<InitOptions, 'endpoint' | 'login' | 'simulate'> {}
}
