const app = getApp()
const PAGE = 20

Page({
  data: { goods: [] },

  async sell(name, price) {
    const { _id } = await app.db.collection('goods').add({ data: { name, price, sold: false, likes: 0 } })
    return _id
  },

  async all() {
    const _ = app.db.command
    const goods = app.db.collection('goods').where({ sold: _.neq(true), price: _.in([1, 2, 3]).or(_.gt(10)) })
    const { total } = await goods.count()
    const pages = []
    for (let at = 0; at < Math.ceil(total / PAGE); at++) {
      pages.push(
        goods
          .orderBy('price', 'asc')
          .skip(at * PAGE)
          .limit(PAGE)
          .get(),
      )
    }
    const list = (await Promise.all(pages)).reduce((all, { data }) => all.concat(data), [])
    this.setData({ goods: list })
    return list
  },

  async byPrice() {
    const $ = app.db.command.aggregate
    const { list } = await app.db
      .collection('goods')
      .aggregate()
      .match({ sold: false })
      .group({
        _id: $.cond({ if: $.gt(['$price', 10]), then: 'dear', else: 'cheap' }),
        n: $.sum(1),
        top: $.max('$price'),
      })
      .sort({ _id: 1 })
      .end()
    return list
  },

  async buy(id) {
    try {
      const { stats } = await app.db
        .collection('goods')
        .doc(id)
        .update({ data: { sold: true } })
      return stats.updated
    } catch (err) {
      return err.errCode
    }
  },

  async replace(id, data) {
    return app.db.collection('goods').doc(id).set({ data })
  },

  async mine() {
    const { data } = await app.db.collection('goods').where({ _openid: '{openid}' }).get()
    return data.map(({ name }) => name)
  },

  async pictures(files) {
    const { fileList } = await wx.cloud.getTempFileURL({ fileList: files })
    return fileList
  },

  async clean(files) {
    const { fileList } = await wx.cloud.deleteFile({ fileList: files })
    return fileList.map(({ status }) => status)
  },
})
