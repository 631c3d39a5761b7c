// What stands before the operations where they run on an SDK that takes documents as they are, and not as { data }. PACKAGE is its
// name. Whatever else the operations do is the SDK's own, and so is what they give.
const sdk = require('PACKAGE')
const app = sdk.init({ env: sdk.SYMBOL_CURRENT_ENV })

const TAKE_DOCUMENTS = ['add', 'set', 'update', 'updateAndReturn']
const isHandle = (value) =>
  value !== null &&
  typeof value === 'object' &&
  ['get', 'end', 'doc', 'collection'].some((name) => typeof value[name] === 'function')
const isWrapped = (given) =>
  given !== null && typeof given === 'object' && Object.keys(given).join() === 'data'

function bare(handle) {
  return new Proxy(handle, {
    get(target, name) {
      // Its transactions call it so.
      const member = target[name] ?? (name === 'remove' ? target.delete : undefined)
      if (name === 'Geo') return { Point: (...at) => new member.Point(...at) }
      if (typeof member !== 'function') return member
      return (...given) => {
        let args = given
        if (TAKE_DOCUMENTS.includes(name) && isWrapped(given[0])) args = [given[0].data]
        if (name === 'runTransaction') args = [(transaction) => given[0](bare(transaction))]
        const gave = member.apply(target, args)
        const passed = (value) => (isHandle(value) ? bare(value) : value)
        return gave instanceof Promise ? gave.then(passed) : passed(gave)
      }
    },
  })
}

// biome-ignore lint/correctness/noUnusedVariables: what follows uses it
const cloud = { init() {}, database: (options) => bare(app.database(options)) }
