// One login for all calls, kept as long as its token lives.

export class Session {
  /**
   * @param logIn gives a promise of `{token, expiresIn}`, in seconds
   * @param before is given the (promise of the) token that is about to be followed by another, and may use it until
   * the promise that it gives resolves
   */
  constructor(logIn, before) {
    this.logIn = logIn
    this.before = before
    this.login = undefined
  }

  /**
   * The token, good for `spare` more milliseconds if it can be. Whoever asks while a login is under way waits for
   * that one.
   */
  token(spare = 0) {
    const { login } = this
    // A token that never lives that long is no reason to log in each time.
    if (!login || Date.now() > login.until - Math.min(spare, login.life / 2)) this.begin()
    return this.login.token
  }

  /** Logs in anew. One login ends before the next begins, or the server might hear of the last key first. */
  begin() {
    const last = this.login && this.login.token
    const login = { until: Infinity, life: Infinity }
    const ready = last && Promise.all([this.before(last), last.catch(() => {})])
    login.token = Promise.resolve(ready)
      .then(this.logIn)
      .then(
        ({ token, expiresIn }) => {
          login.life = expiresIn * 1e3
          login.until = Date.now() + login.life
          return (login.text = token)
        },
        (error) => {
          if (this.login === login) this.login = undefined
          throw error
        },
      )
    // Whoever waits for it hears of a failure; nobody may be waiting.
    login.token.catch(() => {})
    this.login = login
  }

  /** The server does not take `token` any more. */
  end(token) {
    if (this.login && this.login.text === token) this.login = undefined
  }
}
