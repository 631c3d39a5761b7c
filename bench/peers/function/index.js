// The measured function: the same file runs under Yunqiao and under every peer.
exports.main = async (event) => {
  const { stepInfoList } = event.weRunData.data
  return { sum: stepInfoList.reduce((sum, day) => sum + day.step, 0), n: stepInfoList.length }
}
