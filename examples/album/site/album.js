// 网页没有 wx.cloud：用 HTTP 访问服务调同一个云函数
const photos = document.getElementById('photos')
const more = document.getElementById('more')
const problem = document.getElementById('problem')
const PAGE = 20
let page = 0

async function show() {
  problem.hidden = true
  try {
    const reply = await fetch(`/album?page=${page}`)
    if (!reply.ok) throw new Error(`${reply.status} ${await reply.text()}`)
    const { photos: found } = await reply.json()
    for (const { title, url } of found) {
      const item = document.createElement('li')
      const image = new Image()
      image.src = url
      image.alt = title
      image.loading = 'lazy'
      const name = document.createElement('span')
      name.textContent = title
      item.append(image, name)
      photos.append(item)
    }
    page += 1
    more.hidden = found.length < PAGE
  } catch (error) {
    problem.textContent = error.message
    problem.hidden = false
  }
}

more.addEventListener('click', show)
show()
