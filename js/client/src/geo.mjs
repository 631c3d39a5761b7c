// Places: `db.Geo`. Each is written as GeoJSON, and what comes back as GeoJSON is one again.

const pair = (point) => [point.longitude, point.latitude]
const all = (of) => (parts) => parts.map(of)

/** Of each type: its field, and how that becomes coordinates and comes of them. */
const SHAPES = {
  MultiPoint: ['points', all(pair), all(point)],
  LineString: ['points', all(pair), all(point)],
  MultiLineString: ['lines', all(coordinates), all(made('LineString'))],
  Polygon: ['lines', all(coordinates), all(made('LineString'))],
  MultiPolygon: ['polygons', all(coordinates), all(made('Polygon'))],
}

export const Geo = {}

/** Whether it is one of these. */
export const isGeo = (value) => Boolean(value) && value.isGeo === true

function coordinates(shape) {
  return shape.toJSON().coordinates
}

function point([longitude, latitude]) {
  return new Geo.Point(longitude, latitude)
}

function made(type) {
  return (values) => new Geo[type](SHAPES[type][2](values))
}

/** Its constructor, which can be called without `new`. */
function define(type, make, toCoordinates) {
  function Shape(...given) {
    if (!(this instanceof Shape)) return new Shape(...given)
    make(this, ...given)
  }
  Object.assign(Shape.prototype, {
    isGeo: true,
    toJSON() {
      return { type, coordinates: toCoordinates(this) }
    },
    toString() {
      return JSON.stringify(this)
    },
  })
  Geo[type] = Shape
}

define(
  'Point',
  (shape, longitude, latitude) => {
    for (const [name, value, most] of [
      ['longitude', longitude, 180],
      ['latitude', latitude, 90],
    ]) {
      if (typeof value !== 'number' || !(Math.abs(value) <= most)) {
        throw new Error(`${name} should be a number from -${most} to ${most} instead of ${value}`)
      }
    }
    Object.assign(shape, { longitude, latitude })
  },
  pair,
)

for (const type of Object.keys(SHAPES)) {
  const [field, toCoordinates] = SHAPES[type]
  define(
    type,
    (shape, parts) => {
      if (!Array.isArray(parts) || !parts.length || !parts.every(isGeo)) {
        throw new TypeError(`Geo.${type} takes an array of places`)
      }
      shape[field] = parts
    },
    (shape) => toCoordinates(shape[field]),
  )
}

/** What GeoJSON stands for, if it is any. */
export function place({ type, coordinates, ...more }) {
  if (!Array.isArray(coordinates) || Object.keys(more).length) return undefined
  try {
    if (type === 'Point') return coordinates.length === 2 ? point(coordinates) : undefined
    return SHAPES[type] && made(type)(coordinates)
  } catch {
    return undefined
  }
}
