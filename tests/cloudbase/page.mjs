// The page: whichever SDK it was bundled with, and what the driver asks of it.

import cloudbase from 'sdk'
import * as program from './operations.mjs'

const read = async (url) => (await fetch(url)).text()
let opened

window.run = {
  open: (settings) => {
    opened = program.open(cloudbase, settings)
  },
  signIn: async (how, ...what) => {
    const { auth, words } = opened
    const done = await program.attempt(() => words[how](auth, ...what))
    return done?.refused ? done : words.uid(auth)
  },
  uid: () => opened.words.uid(opened.auth),
  signOut: () => program.attempt(() => opened.auth.signOut()),
  call: (name, data) => program.attempt(async () => (await opened.app.callFunction({ name, data })).result),
  fails: (name, data) => program.attempt(() => opened.app.callFunction({ name, data })),
  documents: (collection) => program.documents(opened.app, collection),
  add: async (collection, document) => {
    const added = await opened.app.database().collection(collection).add(document)
    return added.id ?? added._id
  },
  ofAnother: (collection, whose) => program.ofAnother(opened.app, collection, whose),
  change: async (collection, id, changes) =>
    (await opened.app.database().collection(collection).doc(id).update(changes)).updated,
  remove: async (collection, id) =>
    (await opened.app.database().collection(collection).doc(id).remove()).deleted,
  watch: (collection, query) => {
    window.seen = []
    const rows = ({ docs, docChanges }) => ({
      docs: docs.map(({ n }) => n),
      changes: docChanges.map(({ queueType, doc }) => [queueType, doc?.n]),
    })
    window.watcher = opened.app
      .database()
      .collection(collection)
      .where(query)
      .watch({
        onChange: (snapshot) => window.seen.push(rows(snapshot)),
        onError: (error) => window.seen.push({ error: program.said(error) }),
      })
  },
  unwatch: () => window.watcher.close() && undefined,
  upload: async (path, text) => {
    const file = new File([text], 'a.txt', { type: 'text/plain' })
    return (await opened.app.uploadFile({ cloudPath: path, filePath: file })).fileID
  },
  files: (path, text) =>
    program.files(opened.app, path, new File([text], 'a.txt', { type: 'text/plain' }), read),
}
