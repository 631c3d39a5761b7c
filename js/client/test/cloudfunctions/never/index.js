exports.main = () => new Promise((resolve) => setTimeout(resolve, 60e3))
