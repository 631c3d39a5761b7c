// The marker of a cloudID, as `wx.cloud.CloudID`: with and without `new`.

/** At most this many are replaced in one call (WeChat's document on open data). */
export const MAX_CLOUD_IDS = 5

/** How long WeChat lets open data and cloudIDs live, in milliseconds (the same document). */
export const CLOUD_ID_LIFE = 300e3

export function CloudID(id) {
  if (!(this instanceof CloudID)) return new CloudID(id)
  this.cloudID = id
}

// Below the top level of `data` a cloudID is the string that it was.
CloudID.prototype.toJSON = function () {
  return this.cloudID
}
