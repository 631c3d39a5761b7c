// What a program does with CloudBase's SDK for the web, of whichever generation: the same text for all, as far as they have the same words.

const WORDS = {
  1: {
    point: (app, { host, protocol }) => app.registerEndPoint(`${protocol}://${host}/web`),
    anonymously: (auth) => auth.anonymousAuthProvider().signIn(),
    byTicket: (auth, ticket) => auth.customAuthProvider().signIn(ticket),
    byPassword: (auth, name, password) => auth.signInWithUsernameAndPassword(name, password),
    uid: async (auth) => (await auth.getUserInfo()).data?.uid ?? (await auth.getUserInfo()).uid,
  },
  2: {
    point: (app, { host, protocol }) => {
      app.registerEndPointWithKey({ key: 'CLOUD_API', url: `${protocol}://${host}/web` })
      app.registerEndPointWithKey({ key: 'GATEWAY', url: `//${host}/v1`, protocol })
    },
    anonymously: (auth) => auth.signInAnonymously(),
    byTicket: async (auth, ticket) => {
      await auth.setCustomSignFunc(async () => ticket)
      return auth.signInWithCustomTicket()
    },
    byPassword: (auth, username, password) => auth.signIn({ username, password }),
    uid: async (auth) => (await auth.getUserInfo()).sub,
  },
  3: {
    point: (app, { host, protocol }) => app.registerHost(host, protocol),
    anonymously: (auth) => auth.signInAnonymously(),
    byTicket: async (auth, ticket) => {
      await auth.setCustomSignFunc(async () => ticket)
      return auth.signInWithCustomTicket()
    },
    byPassword: (auth, username, password) => auth.signInWithPassword({ username, password }),
    uid: async (auth) => (await auth.getUserInfo()).sub,
  },
}

/** An app of this generation that asks our server. */
export function open(cloudbase, { generation, env, host, protocol = 'http', mode }) {
  const words = WORDS[generation]
  const app = cloudbase.init({ env, ...(mode && { endPointMode: mode }) })
  words.point(app, { host, protocol })
  return { app, auth: app.auth({ persistence: 'local' }), words }
}

/** All that an error says, of whichever generation. */
export function said(error) {
  const parts = [error?.code, error?.error, error?.message, error?.error_description, error?.msg]
  return parts.filter((part) => typeof part === 'string').join(' ') || String(error)
}

/** A thing done, or what was said instead. */
export async function attempt(what) {
  try {
    const done = await what()
    if (done?.code) return { refused: said(done) }
    if (done?.error) return { refused: said(done.error) }
    return done
  } catch (error) {
    return { refused: said(error) }
  }
}

/** Everything with documents. */
export async function documents(app, collection) {
  const db = app.database()
  const _ = db.command
  const todos = db.collection(collection)
  const report = {}
  const ids = []
  for (const n of [1, 2, 3, 4]) {
    const added = await todos.add({
      n,
      tag: n % 2 ? 'odd' : 'even',
      at: new Date(1_700_000_000_000 + n),
      o: { p: n },
      place: new db.Geo.Point(n, 2),
    })
    ids.push(added.id ?? added._id ?? added.insertedIds?.[0])
  }
  report.ids = ids.map((id) => typeof id === 'string' && id.length)
  const found = await todos
    .where({ n: _.gt(1) })
    .orderBy('n', 'desc')
    .limit(2)
    .field({ n: true, at: true })
    .get()
  report.found = found.data.map(({ n }) => n)
  report.date = new Date(found.data[0].at.$date ?? found.data[0].at).getTime()
  report.nested = (await todos.where({ o: { p: _.in([1, 2]) } }).get()).data.length
  report.either = (await todos.where(_.or([{ n: 1 }, { tag: 'even' }])).count()).total
  const near = (more) =>
    todos.where({ place: _.geoNear({ geometry: new db.Geo.Point(1, 2), ...more }) }).count()
  report.near = (await near({ maxDistance: 1000 })).total
  report.far = (await near({ minDistance: 1000 })).total
  const one = (await todos.doc(ids[0]).get()).data
  report.one = (Array.isArray(one) ? one[0] : one).n
  report.owner = (Array.isArray(one) ? one[0] : one)._openid
  report.updated = (await todos.doc(ids[0]).update({ n: _.inc(10), done: true })).updated
  report.many = (await todos.where({ tag: 'even' }).update({ tag: 'gerade' })).updated
  const changed = (await todos.doc(ids[0]).get()).data
  report.changed = (Array.isArray(changed) ? changed[0] : changed).n
  await todos.doc(ids[1]).set({ n: 20, at: db.serverDate() })
  const set = (await todos.doc(ids[1]).get()).data
  const now = (Array.isArray(set) ? set[0] : set).at
  report.set = Object.keys(Array.isArray(set) ? set[0] : set).sort()
  report.fresh = Math.abs(new Date(now.$date ?? now).getTime() - Date.now()) < 600_000
  const groups = await todos
    .aggregate()
    .match({ n: _.gte(3) })
    .group({ _id: null, sum: db.command.aggregate.sum('$n') })
    .end()
  report.sum = groups.data?.[0]?.sum
  report.pattern = (await todos.where({ tag: db.RegExp({ regexp: '^ODD$', options: 'i' }) }).count()).total
  report.removed = (await todos.doc(ids[2]).remove()).deleted
  report.left = (await todos.count()).total
  return report
}

/** What somebody else's documents and files look like: to nobody's knowledge. */
export async function ofAnother(app, collection, { id, openid, file }) {
  const db = app.database()
  const theirs = db.collection(collection)
  const data = async (what) => (await attempt(what))?.data ?? []
  return {
    byId: [await data(() => theirs.doc(id).get())].flat(),
    byOwner: await data(() => theirs.where({ _openid: openid }).get()),
    all: (await data(() => theirs.get())).filter((document) => document._id === id),
    count: (await attempt(() => theirs.where({ _id: id }).count())).total ?? 0,
    grouped: await data(() => theirs.aggregate().match({ _id: id }).end()),
    updated: (await attempt(() => theirs.doc(id).update({ stolen: true }))).updated ?? 0,
    removed: (await attempt(() => theirs.where({ _id: id }).remove())).deleted ?? 0,
    set: await attempt(() => theirs.doc(id).set({ stolen: true })),
    joined: await attempt(() =>
      theirs.aggregate().lookup({ from: collection, localField: 'x', foreignField: 'y', as: 'all' }).end(),
    ),
    owned: await attempt(() => theirs.add({ _openid: openid })),
    url: (await app.getTempFileURL({ fileList: [file] })).fileList?.[0]?.tempFileURL ?? '',
    deleted: (await app.deleteFile({ fileList: [file] })).fileList?.[0]?.code ?? '',
  }
}

/** A file up, its address, what is there, and away with it. `content` is what this SDK takes for a file. */
export async function files(app, path, content, read) {
  const seen = []
  const up = await app.uploadFile({
    cloudPath: path,
    filePath: content,
    onUploadProgress: ({ loaded, total }) => seen.push([loaded, total]),
  })
  const { fileList } = await app.getTempFileURL({ fileList: [up.fileID] })
  const there = await read(fileList[0].tempFileURL)
  const gone = await app.deleteFile({ fileList: [up.fileID] })
  const after = await app.getTempFileURL({ fileList: [up.fileID] })
  return {
    fileID: up.fileID,
    progress: seen.length > 0,
    there,
    gone: gone.fileList[0].code ?? 'SUCCESS',
    after: after.fileList?.[0]?.tempFileURL || '',
  }
}
