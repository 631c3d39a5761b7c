exports.own = process.env.THEIR_AFFAIR
