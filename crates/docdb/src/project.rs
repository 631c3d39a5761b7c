//! Projections of `find`: `{title: 1, "author.name": 1}`, `{secret: 0}`.
//!
//! What a stage of a pipeline knows, a projection knows too: fields that stay or go, and expressions. It adds `$slice` of
//! an array, `$elemMatch` for the first element that meets a condition, and the positional `a.$` for the element that met
//! the query.

use bson::{Bson, Document};

use crate::{
    Context,
    error::{Error, Result},
    expr::{Needs, Variables, truth},
    order::Number,
    path::{Element, Path},
    pipeline::project::Projection as Fields,
    query::ElementCondition,
};

/// A parsed projection.
#[derive(Clone, Debug)]
pub struct Projection {
    base: Base,
    slices: Vec<(Path, Slice)>,
    elem_matches: Vec<(String, ElementCondition)>,
    positional: Option<Path>,
}

/// What is left before slices and elements are taken.
#[derive(Clone, Debug)]
enum Base {
    Whole,
    Nothing,
    Fields { fields: Fields, includes: bool },
}

#[derive(Clone, Copy, Debug)]
enum Slice {
    /// So many from the start, or, negative, from the end.
    Count(i64),
    /// So many from a place on; a negative place counts from the end.
    Part(i64, i64),
}

impl Projection {
    /// Parses a projection; an empty one keeps everything.
    ///
    /// # Errors
    /// What MongoDB refuses before it looks at a document.
    pub fn parse(specification: &Document) -> Result<Self> {
        let mut parser = Parser::default();
        for (name, value) in specification {
            parser.field(name, value)?;
        }
        parser.finish()
    }

    /// The document as it is shown. `element` is what the positional `$` stands for:
    /// [`Filter::find_element`](crate::query::Filter::find_element).
    ///
    /// # Errors
    /// What an expression meets; 51246 where the query met no element and the projection wants one.
    pub fn apply(&self, document: Document, element: Element, context: &Context) -> Result<Document> {
        let mut elements = Vec::with_capacity(self.elem_matches.len());
        for (name, condition) in &self.elem_matches {
            elements.push(first_element(document.get(name), condition, context)?);
        }
        let (mut shown, includes) = match &self.base {
            Base::Whole => (document, false),
            Base::Nothing => (Document::new(), true),
            Base::Fields { fields, includes } => {
                (fields.apply(document, &Variables::none(), context)?, *includes)
            }
        };
        for (path, slice) in &self.slices {
            slice.apply(&mut shown, path);
        }
        for ((name, _), element) in self.elem_matches.iter().zip(elements) {
            match element {
                // What was not there to be included comes last, what stays keeps its place.
                Some(element) if includes || shown.contains_key(name) => {
                    shown.insert(name.clone(), vec![element]);
                }
                _ => {
                    shown.remove(name);
                }
            }
        }
        if let Some(path) = &self.positional {
            take_element(&mut shown, path, element)?;
        }
        Ok(shown)
    }

    /// Adds the top-level fields that the projection reads.
    pub fn needs(&self, needs: &mut Needs) {
        match &self.base {
            Base::Whole => needs.add_all(),
            Base::Nothing => {}
            Base::Fields { fields, .. } => {
                if !fields.needs(needs) {
                    needs.add_all();
                }
            }
        }
        for (name, _) in &self.elem_matches {
            needs.add(name);
        }
    }
}

#[derive(Default)]
struct Parser {
    fields: Document,
    included: bool,
    excluded: bool,
    id: Option<bool>,
    slices: Vec<(Path, Slice)>,
    elem_matches: Vec<(String, ElementCondition)>,
    positional: Option<Path>,
}

impl Parser {
    fn field(&mut self, name: &str, value: &Bson) -> Result<()> {
        if name.ends_with(".$") || name.contains(".$.") {
            return self.positional(name, value);
        }
        if let Bson::Document(operator) = value {
            match operator.iter().next() {
                Some((first, condition)) if first == "$elemMatch" => {
                    return self.elem_match(name, operator, condition);
                }
                Some((first, argument)) if first == "$slice" && operator.len() == 1 => {
                    if let Some(slice) = slice(argument)? {
                        self.slices.push((Path::checked(name)?, slice));
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
        let plain = matches!(value, Bson::Boolean(_)) || Number::of(value).is_some();
        match (name, plain && !truth(value)) {
            ("_id", excludes) => self.id = Some(!excludes),
            (_, true) => self.excluded = true,
            (_, false) => self.included |= keeps(value),
        }
        self.insert(name, value.clone())
    }

    fn insert(&mut self, name: &str, value: Bson) -> Result<()> {
        if self.fields.insert(name, value).is_some() {
            return Err(Error::new(31250, format!("Path collision at {name}")));
        }
        Ok(())
    }

    fn positional(&mut self, name: &str, value: &Bson) -> Result<()> {
        let Some(base) = name.strip_suffix(".$").filter(|base| !base.contains(".$")) else {
            return Err(Error::new(
                31394,
                format!(
                    "As of 4.4, it's illegal to specify positional operator in the middle of a path: {name}"
                ),
            ));
        };
        if !(matches!(value, Bson::Boolean(_)) || Number::of(value).is_some()) {
            return Err(Error::new(
                31271,
                format!("positional projection cannot be used with an expression or sub object: {name}"),
            ));
        }
        if !truth(value) {
            return Err(Error::new(
                31395,
                format!("positional projection cannot be used with exclusion: {name}"),
            ));
        }
        if self.positional.is_some() {
            return Err(Error::new(
                31276,
                format!("Cannot specify more than one positional projection per query: {name}"),
            ));
        }
        if !self.elem_matches.is_empty() {
            return Err(Error::new(
                31256,
                format!("Cannot specify positional operator and $elemMatch: {name}"),
            ));
        }
        self.positional = Some(Path::checked(base)?);
        self.included = true;
        self.insert(base, Bson::Int32(1))
    }

    fn elem_match(&mut self, name: &str, operator: &Document, condition: &Bson) -> Result<()> {
        if operator.len() > 1 {
            return Err(Error::new(
                16410,
                format!(
                    "FieldPath field names may not start with '$': '$elemMatch' has other names beside it in the projection of '{name}'"
                ),
            ));
        }
        let path = Path::checked(name)?;
        if path.parts().len() > 1 {
            return Err(Error::new(
                31275,
                format!("Cannot use $elemMatch projection on a nested field: {name}"),
            ));
        }
        let Bson::Document(condition) = condition else {
            return Err(Error::new(
                31274,
                format!("elemMatch: Invalid argument, object required: {name}"),
            ));
        };
        if self.positional.is_some() {
            return Err(Error::new(
                31255,
                format!("Cannot specify positional operator and $elemMatch: {name}"),
            ));
        }
        if self.fields.contains_key(name) {
            return Err(Error::new(31250, format!("Path collision at {name}")));
        }
        self.elem_matches
            .push((name.to_owned(), ElementCondition::parse(condition)?));
        Ok(())
    }

    fn finish(mut self) -> Result<Projection> {
        // With nothing else said, `$elemMatch` shows its element alone, and `$slice` all the rest too.
        let includes =
            self.included || (!self.excluded && (!self.elem_matches.is_empty() || self.id == Some(true)));
        let slices = self.slices.clone();
        for (path, _) in &slices {
            if includes {
                self.insert(path.as_str(), Bson::Int32(1))?;
            } else if self.fields.contains_key(path.as_str()) {
                return Err(Error::new(31250, format!("Path collision at {}", path.as_str())));
            }
        }
        let taken_id = self.elem_matches.iter().any(|(name, _)| name == "_id");
        let only_id = self.fields.is_empty() || self.fields.len() == 1 && self.id.is_some();
        let base = if includes && only_id {
            // Nothing is named that could be included, but `_id` is shown unless it is refused.
            if self.id == Some(false) || taken_id {
                Base::Nothing
            } else {
                self.fields.insert("_id", 1);
                Base::Fields {
                    fields: Fields::parse(&Bson::Document(self.fields), &[])?,
                    includes,
                }
            }
        } else if self.fields.is_empty() {
            Base::Whole
        } else {
            Base::Fields {
                fields: Fields::parse(&Bson::Document(self.fields), &[])?,
                includes,
            }
        };
        Ok(Projection {
            base,
            slices: self.slices,
            elem_matches: self.elem_matches,
            positional: self.positional,
        })
    }
}

/// If a value of a projection names what is to be shown: an expression does, and a document of values where one of them
/// does.
fn keeps(value: &Bson) -> bool {
    match value {
        Bson::Document(fields) if !fields.is_empty() && !fields.keys().any(|name| name.starts_with('$')) => {
            fields.values().any(keeps)
        }
        Bson::Boolean(_) => truth(value),
        _ => Number::of(value).is_none_or(|number| number.to_f64() != 0.0),
    }
}

/// The projection's `$slice`; `None` where it is the expression of that name.
fn slice(argument: &Bson) -> Result<Option<Slice>> {
    let truncated = |value: &Bson| {
        Number::of(value).map(|number| match number {
            Number::Integer(number) => number,
            // Saturates, and NaN is 0.
            Number::Double(number) => number as i64,
        })
    };
    if let Some(count) = truncated(argument) {
        return Ok(Some(Slice::Count(count)));
    }
    match argument {
        Bson::Array(parts) => match parts.as_slice() {
            [skip, limit] => match (truncated(skip), truncated(limit)) {
                (Some(skip), Some(limit)) if limit > 0 => Ok(Some(Slice::Part(skip, limit))),
                (Some(_), Some(limit)) => Err(Error::new(
                    28724,
                    format!(
                        "First argument to $slice must be an array, and the limit of a projection positive: {limit}"
                    ),
                )),
                _ => Ok(None),
            },
            [_, _, _] => Ok(None),
            _ => Err(invalid_slice()),
        },
        _ => Err(invalid_slice()),
    }
}

fn invalid_slice() -> Error {
    Error::new(
        28667,
        "Invalid $slice syntax: a number, [skip, limit], or the arguments of the expression",
    )
}

impl Slice {
    fn apply(self, document: &mut Document, path: &Path) {
        let names: Vec<&str> = path.parts().iter().map(|part| part.name.as_str()).collect();
        self.in_document(document, &names);
    }

    fn in_document(self, document: &mut Document, names: &[&str]) {
        let Some((name, rest)) = names.split_first() else {
            return;
        };
        if let Some(value) = document.get_mut(name) {
            self.in_value(value, rest);
        }
    }

    fn in_value(self, value: &mut Bson, names: &[&str]) {
        match value {
            Bson::Array(elements) if names.is_empty() => self.cut(elements),
            Bson::Array(elements) => {
                for element in elements {
                    if let Bson::Document(document) = element {
                        self.in_document(document, names);
                    }
                }
            }
            Bson::Document(document) => self.in_document(document, names),
            _ => {}
        }
    }

    fn cut(self, elements: &mut Vec<Bson>) {
        let length = elements.len();
        let size = |number: i64| usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
        let (start, count) = match self {
            Self::Count(count) if count >= 0 => (0, size(count)),
            Self::Count(count) => (length.saturating_sub(size(count)), length),
            Self::Part(skip, limit) if skip >= 0 => (size(skip).min(length), size(limit)),
            Self::Part(skip, limit) => (length.saturating_sub(size(skip)), size(limit)),
        };
        elements.drain(..start);
        elements.truncate(count);
    }
}

fn first_element(
    value: Option<&Bson>,
    condition: &ElementCondition,
    context: &Context,
) -> Result<Option<Bson>> {
    let Some(Bson::Array(elements)) = value else {
        return Ok(None);
    };
    for element in elements {
        if condition.matches(element, context)? {
            return Ok(Some(element.clone()));
        }
    }
    Ok(None)
}

/// Leaves of the first array on the path the element that met the query.
fn take_element(document: &mut Document, path: &Path, element: Element) -> Result<()> {
    let mut inner = document;
    for part in path.parts() {
        match inner.get_mut(&part.name) {
            Some(Bson::Document(below)) => inner = below,
            Some(Bson::Array(elements)) => {
                let found = element
                    .filter(|at| *at < elements.len())
                    .map(|at| elements.swap_remove(at));
                let Some(found) = found else {
                    return Err(Error::new(
                        51246,
                        format!(
                            "Executor error during find command :: caused by :: positional operator '.$' couldn't find a matching element in the array '{}'",
                            path.as_str()
                        ),
                    ));
                };
                *elements = vec![found];
                return Ok(());
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
