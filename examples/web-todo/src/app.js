import cloudbase from '@cloudbase/js-sdk'

// Where the gateway is: site/config.js.
const { env, host, protocol } = window.yunqiao
const app = cloudbase.init({ env })
// The one line for Yunqiao: everything else is what a page for CloudBase is.
app.registerHost(host, protocol)

const auth = app.auth({ persistence: 'local' })
const todos = app.database().collection('todos')
const $ = (id) => document.getElementById(id)

/** Runs what a person asked for, and says what went wrong. */
async function doing(what) {
  $('problem').hidden = true
  try {
    await what()
  } catch (error) {
    $('problem').textContent = error.error_description ?? error.message ?? String(error)
    $('problem').hidden = false
  }
}

async function show() {
  const done = location.pathname === '/done'
  const user = await auth.getUserInfo()
  $('user').textContent = user.username ?? '访客'
  const { data } = await todos.where({ done }).orderBy('at', 'asc').limit(100).get()
  $('todos').replaceChildren(...data.map(row))
  const { result } = await app.callFunction({ name: 'summary' })
  $('summary').textContent = `你有 ${result.own} 件，大家一共 ${result.all} 件`
}

function row({ _id, title, done }) {
  const text = document.createElement('span')
  text.textContent = title
  const toggle = button(done ? '恢复' : '完成', () => todos.doc(_id).update({ done: !done }))
  const remove = button('删除', () => todos.doc(_id).remove())
  const item = document.createElement('li')
  item.append(text, toggle, remove)
  return item
}

function button(text, what) {
  const button = document.createElement('button')
  button.textContent = text
  button.onclick = () =>
    doing(async () => {
      await what()
      await show()
    })
  return button
}

$('add').onsubmit = (event) => {
  event.preventDefault()
  doing(async () => {
    await todos.add({ title: $('title').value, done: false, at: new Date() })
    $('title').value = ''
    await show()
  })
}

$('login').onsubmit = (event) => {
  event.preventDefault()
  doing(async () => {
    const { error } = await auth.signInWithPassword({
      username: $('name').value,
      password: $('password').value,
    })
    if (error) throw error
    $('password').value = ''
    await show()
  })
}

$('log-out').onclick = () =>
  doing(async () => {
    await auth.signOut()
    await auth.signInAnonymously()
    await show()
  })

for (const [id, path] of [
  ['to-open', '/'],
  ['to-done', '/done'],
]) {
  $(id).onclick = (event) => {
    event.preventDefault()
    history.pushState(null, '', path)
    doing(show)
  }
}
addEventListener('popstate', () => doing(show))

doing(async () => {
  if (!(await auth.getLoginState())) await auth.signInAnonymously()
  await show()
})
