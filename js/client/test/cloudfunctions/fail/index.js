exports.main = async () => {
  throw new Error('no such luck')
}
