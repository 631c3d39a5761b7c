//! From a query's document to its tree.

use bson::{Bson, Document, spec::ElementType};

use super::{
    Condition, ElementCondition, Filter, Near, Node, Predicate,
    test::{Bits, Comparison, ElemMatch, Test, Types},
};
use crate::{
    error::{Error, Result, code},
    expr::{Expression, truth},
    geo,
    order::{Number, compare},
    path::Path,
    regex::{Asked, Pattern},
};

/// Conditions in conditions.
const DEPTH: usize = 100;

struct Parser<'a> {
    variables: &'a [String],
    /// The `$near` that was met.
    near: Option<Near>,
}

/// Where a condition stands.
#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    /// Not inside of `$elemMatch`: `$expr` may stand here.
    document: bool,
    /// It has to be met by every document of the result: `$near` may stand here.
    required: bool,
}

impl Place {
    fn deeper(self) -> Result<Self> {
        if self.depth >= DEPTH {
            return Err(Error::new(
                crate::error::code::OVERFLOW,
                format!("exceeded maximum query tree depth of {DEPTH}"),
            ));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }

    fn optional(self) -> Result<Self> {
        Ok(Self {
            required: false,
            ..self.deeper()?
        })
    }

    fn element(self) -> Result<Self> {
        Ok(Self {
            document: false,
            required: false,
            ..self.deeper()?
        })
    }
}

const TOP: Place = Place {
    depth: 0,
    document: true,
    required: true,
};

pub(super) fn filter(query: &Document, variables: &[String]) -> Result<Filter> {
    let asked = Asked::of(query).checked()?;
    let mut parser = Parser {
        variables,
        near: None,
    };
    let root = parser.document(query, TOP)?;
    Ok(Filter {
        root,
        near: parser.near,
        patterns: asked.patterns,
    })
}

pub(super) fn element(condition: &Document) -> Result<ElementCondition> {
    let mut parser = Parser {
        variables: &[],
        near: None,
    };
    Ok(ElementCondition(parser.condition(condition, TOP.element()?)?))
}

/// If a document is one of operators: its first name tells. `$ref`, `$id` and `$db` are the fields of a reference.
pub(super) fn has_operators(document: &Document) -> bool {
    document
        .keys()
        .next()
        .is_some_and(|name| name.starts_with('$') && !matches!(name.as_str(), "$ref" | "$id" | "$db"))
}

impl Parser<'_> {
    fn document(&mut self, query: &Document, place: Place) -> Result<Node> {
        let mut nodes = Vec::with_capacity(query.len());
        for (name, value) in query {
            if name.starts_with('$') {
                nodes.extend(self.top(name, value, place)?);
                continue;
            }
            let path = Path::new(name);
            let predicate = self.field(&path, value, place)?;
            nodes.push(Node::Field(path, predicate));
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::And(nodes)
        })
    }

    fn top(&mut self, name: &str, value: &Bson, place: Place) -> Result<Option<Node>> {
        Ok(Some(match name {
            "$and" => Node::And(self.list(name, value, place.deeper()?)?),
            "$or" => Node::Or(self.list(name, value, place.optional()?)?),
            "$nor" => Node::Nor(self.list(name, value, place.optional()?)?),
            "$expr" if place.document => {
                Node::Expression(Box::new(Expression::parse_with(value, self.variables)?))
            }
            "$expr" => {
                return Err(Error::bad_value(
                    "$expr can only be applied to the top-level document",
                ));
            }
            "$comment" => return Ok(None),
            "$alwaysTrue" | "$alwaysFalse" => {
                if Number::of(value).and_then(Number::to_i64_exact) != Some(1) {
                    return Err(Error::failed_to_parse(format!(
                        "{name} must be an integer value of 1"
                    )));
                }
                Node::Constant(name == "$alwaysTrue")
            }
            "$jsonSchema" if !place.document => {
                return Err(Error::new(
                    code::QUERY_FEATURE_NOT_ALLOWED,
                    "$jsonSchema can only be applied to the top-level document",
                ));
            }
            "$where" | "$text" | "$jsonSchema" => {
                return Err(Error::bad_value(format!("{name} is not supported")));
            }
            _ => {
                return Err(Error::bad_value(format!(
                    "unknown top level operator: {name}. If you have a field name that starts with a '$' symbol, \
                     consider using $getField or $setField."
                )));
            }
        }))
    }

    fn list(&mut self, name: &str, value: &Bson, place: Place) -> Result<Vec<Node>> {
        let Bson::Array(elements) = value else {
            return Err(Error::bad_value(format!("{name} must be an array")));
        };
        if elements.is_empty() {
            return Err(Error::bad_value(format!(
                "{name} argument must be a non-empty array"
            )));
        }
        elements
            .iter()
            .map(|element| match element {
                Bson::Document(query) => self.document(query, place),
                _ => Err(Error::bad_value(format!(
                    "{name} argument's entries must be objects"
                ))),
            })
            .collect()
    }

    fn field(&mut self, path: &Path, value: &Bson, place: Place) -> Result<Predicate> {
        match value {
            Bson::Document(operators) if has_operators(operators) => self.operators(path, operators, place),
            Bson::RegularExpression(regex) => {
                Ok(Predicate::Test(Test::Regex(Box::new(Pattern::from_bson(regex)?))))
            }
            _ => Ok(Predicate::Test(comparison(
                path,
                "$eq",
                Comparison::Equal,
                value,
            )?)),
        }
    }

    fn operators(&mut self, path: &Path, operators: &Document, place: Place) -> Result<Predicate> {
        let place = place.deeper()?;
        let mut all = Vec::with_capacity(operators.len());
        for (name, value) in operators {
            if let Some(predicate) = self.operator(path, name, value, operators, place)? {
                all.push(predicate);
            }
        }
        Ok(if all.len() == 1 {
            all.remove(0)
        } else {
            Predicate::And(all)
        })
    }

    fn operator(
        &mut self,
        path: &Path,
        name: &str,
        value: &Bson,
        siblings: &Document,
        place: Place,
    ) -> Result<Option<Predicate>> {
        let not = |test: Test| Predicate::Not(Box::new(Predicate::Test(test)));
        let field = path.as_str();
        Ok(Some(match name {
            "$eq" => Predicate::Test(comparison(path, name, Comparison::Equal, value)?),
            "$lt" => Predicate::Test(comparison(path, name, Comparison::Less, value)?),
            "$lte" => Predicate::Test(comparison(path, name, Comparison::LessOrEqual, value)?),
            "$gt" => Predicate::Test(comparison(path, name, Comparison::Greater, value)?),
            "$gte" => Predicate::Test(comparison(path, name, Comparison::GreaterOrEqual, value)?),
            "$ne" => {
                if matches!(value, Bson::RegularExpression(_)) {
                    return Err(Error::bad_value("Can't have regex as arg to $ne."));
                }
                not(comparison(path, name, Comparison::Equal, value)?)
            }
            "$in" => Predicate::Test(list_of_values(path, name, value)?),
            "$nin" => not(list_of_values(path, name, value)?),
            "$not" => Predicate::Not(Box::new(match value {
                Bson::RegularExpression(regex) => {
                    Predicate::Test(Test::Regex(Box::new(Pattern::from_bson(regex)?)))
                }
                Bson::Document(operators) if operators.is_empty() => {
                    return Err(Error::bad_value(format!(
                        "$not cannot be empty (field '{field}')"
                    )));
                }
                Bson::Document(operators) => {
                    let place = place.optional()?;
                    self.operators(path, operators, place)?
                }
                _ => {
                    return Err(Error::bad_value(format!(
                        "$not needs a regex or a document (field '{field}')"
                    )));
                }
            })),
            "$exists" => {
                if truth(value) {
                    Predicate::Test(Test::Exists)
                } else {
                    not(Test::Exists)
                }
            }
            "$type" => Predicate::Test(Test::Type(types(path, value)?)),
            "$regex" => Predicate::Test(Test::Regex(Box::new(regex(path, siblings)?))),
            "$options" => {
                if !siblings.contains_key("$regex") {
                    return Err(Error::bad_value(format!(
                        "$options needs a $regex (field '{field}')"
                    )));
                }
                return Ok(None);
            }
            "$mod" => Predicate::Test(modulo(path, value)?),
            "$size" => Predicate::Test(Test::Size(size(path, value)?)),
            "$all" => self.all(path, value, place)?,
            "$elemMatch" => Predicate::Test(self.elem_match(path, value, place)?),
            "$bitsAllSet" => Predicate::Test(bits(path, name, value, true, true)?),
            "$bitsAllClear" => Predicate::Test(bits(path, name, value, true, false)?),
            "$bitsAnySet" => Predicate::Test(bits(path, name, value, false, true)?),
            "$bitsAnyClear" => Predicate::Test(bits(path, name, value, false, false)?),
            "$geoWithin" | "$within" => {
                check_one_geo_operator(path, siblings)?;
                Predicate::Test(Test::GeoWithin(Box::new(geo::Within::parse(value)?)))
            }
            "$geoIntersects" => {
                check_one_geo_operator(path, siblings)?;
                Predicate::Test(Test::GeoIntersects(Box::new(geo::Intersects::parse(value)?)))
            }
            "$near" | "$nearSphere" => {
                check_one_geo_operator(path, siblings)?;
                self.near(path, name, siblings, place)?;
                return Ok(None);
            }
            "$minDistance" | "$maxDistance" => {
                if !siblings.contains_key("$near") && !siblings.contains_key("$nearSphere") {
                    return Err(Error::bad_value(format!(
                        "{name} needs a $near or $nearSphere (field '{field}')"
                    )));
                }
                return Ok(None);
            }
            "$expr" => {
                return Err(Error::bad_value(
                    "$expr can only be applied to the top-level document",
                ));
            }
            _ => {
                return Err(Error::bad_value(format!(
                    "unknown operator: {name} (field '{field}')"
                )));
            }
        }))
    }

    fn near(&mut self, path: &Path, name: &str, operators: &Document, place: Place) -> Result<()> {
        let field = path.as_str();
        if !place.required {
            return Err(Error::bad_value(format!(
                "{name} must be at the top of a query (field '{field}')"
            )));
        }
        if operators
            .keys()
            .any(|other| other != name && other != "$minDistance" && other != "$maxDistance")
        {
            return Err(Error::new(
                34413,
                format!("{name} stands with no other operator (field '{field}')"),
            ));
        }
        let near = Near {
            path: path.clone(),
            query: geo::Near::parse(name, operators)?,
        };
        if self.near.replace(near).is_some() {
            return Err(Error::bad_value(format!(
                "Too many geoNear expressions (field '{field}')"
            )));
        }
        Ok(())
    }

    fn all(&mut self, path: &Path, value: &Bson, place: Place) -> Result<Predicate> {
        let field = path.as_str();
        let Bson::Array(elements) = value else {
            return Err(Error::bad_value(format!("$all needs an array (field '{field}')")));
        };
        if elements.is_empty() {
            return Ok(Predicate::Test(Test::Never));
        }
        let conditions = |element: &Bson| matches!(element, Bson::Document(document) if document.keys().next().is_some_and(|name| name == "$elemMatch"));
        if elements.first().is_some_and(conditions) {
            let mut all = Vec::with_capacity(elements.len());
            for element in elements {
                match element {
                    Bson::Document(document) if conditions(element) && document.len() == 1 => {
                        let Some(condition) = document.get("$elemMatch") else {
                            continue;
                        };
                        all.push(Predicate::Test(self.elem_match(path, condition, place)?));
                    }
                    _ => {
                        return Err(Error::bad_value(format!(
                            "$all/$elemMatch has to be consistent (field '{field}')"
                        )));
                    }
                }
            }
            return Ok(Predicate::And(all));
        }
        let tests: Result<Vec<Predicate>> = elements
            .iter()
            .map(|element| {
                Ok(Predicate::Test(match element {
                    Bson::RegularExpression(regex) => Test::Regex(Box::new(Pattern::from_bson(regex)?)),
                    Bson::Document(document) if has_operators(document) => {
                        return Err(Error::bad_value(format!(
                            "no $ expressions in $all (field '{field}')"
                        )));
                    }
                    _ => comparison(path, "$all", Comparison::Equal, element)?,
                }))
            })
            .collect();
        Ok(Predicate::And(tests?))
    }

    fn elem_match(&mut self, path: &Path, value: &Bson, place: Place) -> Result<Test> {
        let Bson::Document(condition) = value else {
            return Err(Error::bad_value(format!(
                "$elemMatch needs an Object (field '{}')",
                path.as_str()
            )));
        };
        let condition = self.condition(condition, place.element()?)?;
        Ok(Test::ElemMatch(Box::new(ElemMatch(condition))))
    }

    /// What an element has to meet: operators on itself, or a query on its fields.
    fn condition(&mut self, condition: &Document, place: Place) -> Result<Condition> {
        let of_document = |name: &str| {
            matches!(
                name,
                "$and" | "$or" | "$nor" | "$where" | "$expr" | "$comment" | "$text" | "$jsonSchema"
            )
        };
        if has_operators(condition) && !condition.keys().next().is_some_and(|name| of_document(name)) {
            return Ok(Condition::Value(self.operators(
                &Path::new(""),
                condition,
                place,
            )?));
        }
        Ok(Condition::Fields(self.document(condition, place)?))
    }
}

fn comparison(path: &Path, name: &str, comparison: Comparison, operand: &Bson) -> Result<Test> {
    match operand {
        Bson::Undefined => Err(Error::bad_value(format!(
            "cannot compare to undefined (field '{}')",
            path.as_str()
        ))),
        Bson::RegularExpression(_) if comparison != Comparison::Equal => Err(Error::bad_value(format!(
            "Can't have RegEx as arg to predicate over field '{}' ({name}).",
            path.as_str()
        ))),
        _ => Ok(Test::Compare(comparison, operand.clone())),
    }
}

fn list_of_values(path: &Path, name: &str, value: &Bson) -> Result<Test> {
    let field = path.as_str();
    let Bson::Array(elements) = value else {
        return Err(Error::bad_value(format!(
            "{name} needs an array (field '{field}')"
        )));
    };
    let mut values = Vec::with_capacity(elements.len());
    let mut patterns = Vec::new();
    for element in elements {
        match element {
            Bson::RegularExpression(regex) => patterns.push(Pattern::from_bson(regex)?),
            Bson::Document(document) if has_operators(document) => {
                return Err(Error::bad_value(format!(
                    "cannot nest $ under {name} (field '{field}')"
                )));
            }
            Bson::Undefined => {
                return Err(Error::bad_value(format!(
                    "{name} cannot compare to undefined (field '{field}')"
                )));
            }
            _ => values.push(element.clone()),
        }
    }
    values.sort_by(compare);
    values.dedup_by(|left, right| compare(left, right).is_eq());
    Ok(Test::In(values, patterns))
}

fn types(path: &Path, value: &Bson) -> Result<Types> {
    let mut types = Types::default();
    match value {
        Bson::Array(elements) => {
            if elements.is_empty() {
                return Err(Error::failed_to_parse(format!(
                    "{} must match at least one type",
                    path.as_str()
                )));
            }
            for element in elements {
                add_type(&mut types, path, element)?;
            }
        }
        _ => add_type(&mut types, path, value)?,
    }
    Ok(types)
}

fn add_type(types: &mut Types, path: &Path, value: &Bson) -> Result<()> {
    let field = path.as_str();
    if let Bson::String(alias) = value {
        if alias == "number" {
            for number in [
                ElementType::Double,
                ElementType::Int32,
                ElementType::Int64,
                ElementType::Decimal128,
            ] {
                types.add(number);
            }
            return Ok(());
        }
        let Some(known) = ALIASES.iter().find(|known| known.0 == alias) else {
            return Err(Error::bad_value(format!(
                "Unknown type name alias: {alias} (field '{field}')"
            )));
        };
        types.add(known.1);
        return Ok(());
    }
    let Some(number) = Number::of(value) else {
        return Err(Error::type_mismatch(format!(
            "type must be represented as a number or a string (field '{field}')"
        )));
    };
    let known = number.to_i64_exact().and_then(|number| match number {
        -1 => Some(ElementType::MinKey),
        1..=19 | 127 => ElementType::from(number as u8),
        _ => None,
    });
    let Some(known) = known else {
        return Err(Error::bad_value(format!(
            "Invalid numerical type code: {value} (field '{field}')"
        )));
    };
    types.add(known);
    Ok(())
}

const ALIASES: [(&str, ElementType); 21] = [
    ("double", ElementType::Double),
    ("string", ElementType::String),
    ("object", ElementType::EmbeddedDocument),
    ("array", ElementType::Array),
    ("binData", ElementType::Binary),
    ("undefined", ElementType::Undefined),
    ("objectId", ElementType::ObjectId),
    ("bool", ElementType::Boolean),
    ("date", ElementType::DateTime),
    ("null", ElementType::Null),
    ("regex", ElementType::RegularExpression),
    ("dbPointer", ElementType::DbPointer),
    ("javascript", ElementType::JavaScriptCode),
    ("symbol", ElementType::Symbol),
    ("javascriptWithScope", ElementType::JavaScriptCodeWithScope),
    ("int", ElementType::Int32),
    ("timestamp", ElementType::Timestamp),
    ("long", ElementType::Int64),
    ("decimal", ElementType::Decimal128),
    ("minKey", ElementType::MinKey),
    ("maxKey", ElementType::MaxKey),
];

fn regex(path: &Path, siblings: &Document) -> Result<Pattern> {
    let field = path.as_str();
    let options = match siblings.get("$options") {
        None => None,
        Some(Bson::String(options)) => Some(options.as_str()),
        Some(_) => {
            return Err(Error::bad_value(format!(
                "$options has to be a string (field '{field}')"
            )));
        }
    };
    match siblings.get("$regex") {
        Some(Bson::String(source)) => Pattern::new(source, options.unwrap_or_default()),
        Some(Bson::RegularExpression(regex)) => {
            let own = regex.options.as_str();
            if options.is_some() && !own.is_empty() {
                let first = siblings
                    .keys()
                    .find(|name| matches!(name.as_str(), "$regex" | "$options"));
                let code = if first.is_some_and(|name| name == "$options") {
                    51074
                } else {
                    51075
                };
                return Err(Error::new(
                    code,
                    format!("options set in both $regex and $options (field '{field}')"),
                ));
            }
            Pattern::new(regex.pattern.as_str(), options.unwrap_or(own))
        }
        _ => Err(Error::bad_value(format!(
            "$regex has to be a string (field '{field}')"
        ))),
    }
}

fn modulo(path: &Path, value: &Bson) -> Result<Test> {
    let field = path.as_str();
    let refuse = |reason: &str| Error::bad_value(format!("malformed mod, {reason} (field '{field}')"));
    let Bson::Array(elements) = value else {
        return Err(refuse("needs to be an array"));
    };
    let [divisor, remainder] = elements.as_slice() else {
        return Err(refuse(if elements.len() < 2 {
            "not enough elements"
        } else {
            "too many elements"
        }));
    };
    let integer = |value: &Bson, name: &str| match Number::of(value) {
        None => Err(refuse(&format!("{name} not a number"))),
        Some(Number::Integer(number)) => Ok(number),
        Some(Number::Double(number)) => Number::Double(number.trunc())
            .to_i64_exact()
            .ok_or_else(|| refuse(&format!("{name} value is invalid :: out of range"))),
    };
    let divisor = integer(divisor, "divisor")?;
    let remainder = integer(remainder, "remainder")?;
    if divisor == 0 {
        return Err(Error::bad_value(format!("divisor cannot be 0 (field '{field}')")));
    }
    Ok(Test::Mod(divisor, remainder))
}

fn size(path: &Path, value: &Bson) -> Result<usize> {
    let refuse = |reason: String| {
        Error::bad_value(format!(
            "Failed to parse $size (field '{}'). {reason}",
            path.as_str()
        ))
    };
    let Some(number) = Number::of(value) else {
        return Err(refuse("Expected a number".to_owned()));
    };
    let number = number
        .to_i64_exact()
        .ok_or_else(|| refuse(format!("Expected an integer: {value}")))?;
    if number < 0 {
        return Err(refuse(format!("Expected a non-negative number in: {value}")));
    }
    i32::try_from(number)
        .map(|size| size as usize)
        .map_err(|_| refuse(format!("Cannot represent as a 32-bit integer: {value}")))
}

fn bits(path: &Path, name: &str, value: &Bson, all: bool, set: bool) -> Result<Test> {
    let field = path.as_str();
    let mut positions = Vec::new();
    match value {
        Bson::Array(elements) => {
            for element in elements {
                let position = Number::of(element)
                    .and_then(Number::to_i64_exact)
                    .and_then(|position| u32::try_from(position).ok())
                    .filter(|position| *position <= i32::MAX as u32)
                    .ok_or_else(|| {
                        Error::bad_value(format!(
                            "bit positions must be integers from 0 to 2147483647: {element} ({name}, field '{field}')"
                        ))
                    })?;
                positions.push(position);
            }
        }
        Bson::Binary(binary) => {
            for (at, byte) in binary.bytes.iter().enumerate() {
                positions.extend(
                    (0..8)
                        .filter(|bit| byte >> bit & 1 == 1)
                        .map(|bit| at as u32 * 8 + bit),
                );
            }
        }
        _ => {
            let Some(number) = Number::of(value) else {
                return Err(Error::bad_value(format!(
                    "{name} takes an Array, a number, or a BinData (field '{field}')"
                )));
            };
            let mask = number.to_i64_exact().filter(|mask| *mask >= 0).ok_or_else(|| {
                Error::failed_to_parse(format!(
                    "{name} needs a non-negative integer: {value} (field '{field}')"
                ))
            })?;
            positions.extend((0..63).filter(|bit| mask >> bit & 1 == 1));
        }
    }
    Ok(Test::Bits(Bits { positions, all, set }))
}

/// A field has one geographic operator.
fn check_one_geo_operator(path: &Path, siblings: &Document) -> Result<()> {
    let is_geo = |name: &&String| {
        matches!(
            name.as_str(),
            "$geoWithin" | "$within" | "$geoIntersects" | "$near" | "$nearSphere" | "$geoNear"
        )
    };
    if siblings.keys().filter(is_geo).count() > 1 {
        return Err(Error::bad_value(format!(
            "geo expressions must be alone (field '{}')",
            path.as_str()
        )));
    }
    Ok(())
}
