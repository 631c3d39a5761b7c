//! Stages that make other documents of each one: `$unwind`, `$replaceRoot`, `$redact`; and `$sample`.

use bson::{Bson, Document};

use super::{Documents, Held, check_depth, lazily, project::set_path};
use crate::{
    Context, Error,
    error::{Result, code},
    expr::{Expression, FieldPath, MAX_DEPTH, Needs, Variables, type_name},
};

/// A parsed `$unwind`.
#[derive(Clone, Debug)]
pub(super) struct Unwind {
    path: FieldPath,
    /// The field that takes the index.
    index: Option<FieldPath>,
    /// Documents without elements get through too.
    preserve: bool,
}

impl Unwind {
    pub(super) fn parse(specification: &Bson) -> Result<Self> {
        let mut path = None;
        let mut index = None;
        let mut preserve = false;
        match specification {
            Bson::String(text) => path = Some(text),
            Bson::Document(document) => {
                for (name, value) in document {
                    match (name.as_str(), value) {
                        ("path", Bson::String(text)) => path = Some(text),
                        ("path", other) => {
                            return Err(Error::new(
                                28808,
                                format!(
                                    "expected a string as the path for $unwind stage, got {}",
                                    type_name(other)
                                ),
                            ));
                        }
                        ("preserveNullAndEmptyArrays", Bson::Boolean(flag)) => preserve = *flag,
                        ("preserveNullAndEmptyArrays", other) => {
                            return Err(Error::new(
                                28809,
                                format!(
                                    "expected a boolean for the preserveNullAndEmptyArrays option to $unwind stage, got {}",
                                    type_name(other)
                                ),
                            ));
                        }
                        ("includeArrayIndex", Bson::String(text)) if !text.is_empty() => {
                            if text.starts_with('$') {
                                return Err(Error::new(
                                    28822,
                                    format!(
                                        "includeArrayIndex option to $unwind stage should not be prefixed with a '$': {text}"
                                    ),
                                ));
                            }
                            index = Some(FieldPath::parse(text)?);
                        }
                        ("includeArrayIndex", other) => {
                            return Err(Error::new(
                                28810,
                                format!(
                                    "expected a non-empty string for the includeArrayIndex option to $unwind stage, got {}",
                                    type_name(other)
                                ),
                            ));
                        }
                        (other, _) => {
                            return Err(Error::new(
                                28811,
                                format!("unrecognized option to $unwind stage: {other}"),
                            ));
                        }
                    }
                }
            }
            other => {
                return Err(Error::new(
                    15981,
                    format!(
                        "expected either a string or an object as specification for $unwind stage, got {}",
                        type_name(other)
                    ),
                ));
            }
        }
        let path = path
            .filter(|path| !path.is_empty())
            .ok_or_else(|| Error::new(28812, "no path specified to $unwind stage"))?;
        let Some(path) = path.strip_prefix('$') else {
            return Err(Error::new(
                28818,
                format!("path option to $unwind stage should be prefixed with a '$': {path}"),
            ));
        };
        Ok(Self {
            path: FieldPath::parse(path)?,
            index,
            preserve,
        })
    }

    /// If it writes to a top-level field.
    pub(super) fn sets(&self, field: &str) -> bool {
        self.path.first() == field || self.index.as_ref().is_some_and(|index| index.first() == field)
    }

    pub(super) fn needs(&self, needs: &mut Needs) {
        needs.add_path(&self.path);
        // The index may stand inside of a field.
        self.index.iter().for_each(|path| needs.add_path(path));
    }

    pub(super) fn run<'a>(&'a self, input: Documents<'a>) -> Documents<'a> {
        Box::new(input.flat_map(move |document| -> Documents<'a> {
            match document {
                Ok(document) => self.unwind(document),
                Err(error) => Box::new(std::iter::once(Err(error))),
            }
        }))
    }

    fn unwind(&self, mut document: Document) -> Documents<'_> {
        let taken = place(&mut document, self.path.parts()).map(std::mem::take);
        match taken {
            Some(Bson::Array(elements)) if !elements.is_empty() => {
                let last = elements.len() - 1;
                let mut document = Some(document);
                Box::new(elements.into_iter().enumerate().filter_map(move |(at, element)| {
                    // The last one need not copy.
                    let mut one = if at == last {
                        document.take()?
                    } else {
                        document.clone()?
                    };
                    *place(&mut one, self.path.parts())? = element;
                    self.set_index(&mut one, Bson::Int64(at as i64));
                    Some(Ok(one))
                }))
            }
            Some(Bson::Array(_)) if self.preserve => {
                remove(&mut document, self.path.parts());
                self.once(document)
            }
            None if self.preserve => self.once(document),
            Some(Bson::Null | Bson::Undefined) if self.preserve => self.once(document),
            Some(Bson::Array(_) | Bson::Null | Bson::Undefined) | None => Box::new(std::iter::empty()),
            Some(scalar) => {
                if let Some(place) = place(&mut document, self.path.parts()) {
                    *place = scalar;
                }
                self.once(document)
            }
        }
    }

    fn once(&self, mut document: Document) -> Documents<'_> {
        self.set_index(&mut document, Bson::Null);
        Box::new(std::iter::once(Ok(document)))
    }

    fn set_index(&self, document: &mut Document, index: Bson) {
        if let Some(path) = &self.index {
            set_path(document, path.parts(), index);
        }
    }
}

/// The value at a path through documents alone.
fn place<'d>(document: &'d mut Document, path: &[String]) -> Option<&'d mut Bson> {
    let (name, rest) = path.split_first()?;
    let value = document.get_mut(name)?;
    match (rest.is_empty(), value) {
        (true, value) => Some(value),
        (false, Bson::Document(below)) => place(below, rest),
        _ => None,
    }
}

fn remove(document: &mut Document, path: &[String]) {
    match path {
        [name] => {
            document.remove(name);
        }
        [name, rest @ ..] => {
            if let Some(Bson::Document(below)) = document.get_mut(name) {
                remove(below, rest);
            }
        }
        [] => {}
    }
}

pub(super) fn replace_root(
    expression: &Expression,
    operator: &str,
    document: &Document,
    variables: &Variables,
    context: &Context,
) -> Result<Document> {
    match expression
        .evaluate(document, variables, context)?
        .map(std::borrow::Cow::into_owned)
    {
        Some(value @ Bson::Document(_)) => {
            check_depth(&value)?;
            match value {
                Bson::Document(document) => Ok(document),
                _ => Ok(Document::new()),
            }
        }
        other => Err(Error::new(
            40228,
            format!(
                "'{operator}' expression must evaluate to an object, but resulting value was of type: {}",
                other.as_ref().map_or("missing", type_name)
            ),
        )),
    }
}

/// The names of `$redact`'s variables, and the values by which it knows them again.
pub(super) const REDACT: [&str; 3] = ["DESCEND", "PRUNE", "KEEP"];

/// `$redact`: keeps, cuts out, or looks into each document.
pub(super) fn redact(
    expression: &Expression,
    document: Document,
    variables: &Variables,
    context: &Context,
    depth: usize,
) -> Result<Option<Document>> {
    if depth > MAX_DEPTH {
        return Err(Error::new(code::OVERFLOW, "$redact descended too deep"));
    }
    let mut values = variables.values().to_vec();
    values.extend(REDACT.map(|name| Some(Bson::String(format!("$${name}")))));
    let with_words = Variables::new(values);
    let decision = expression
        .evaluate(&document, &with_words, context)?
        .map(std::borrow::Cow::into_owned);
    match decision {
        Some(Bson::String(word)) if word == "$$KEEP" => Ok(Some(document)),
        Some(Bson::String(word)) if word == "$$PRUNE" => Ok(None),
        Some(Bson::String(word)) if word == "$$DESCEND" => {
            let mut kept = Document::new();
            for (name, value) in document {
                if let Some(value) = redact_value(expression, value, variables, context, depth + 1)? {
                    kept.insert(name, value);
                }
            }
            Ok(Some(kept))
        }
        _ => Err(Error::new(
            17053,
            "$redact must return $$DESCEND, $$PRUNE or $$KEEP",
        )),
    }
}

fn redact_value(
    expression: &Expression,
    value: Bson,
    variables: &Variables,
    context: &Context,
    depth: usize,
) -> Result<Option<Bson>> {
    Ok(match value {
        Bson::Document(document) => {
            redact(expression, document, variables, context, depth)?.map(Bson::Document)
        }
        Bson::Array(elements) => {
            let mut kept = Vec::with_capacity(elements.len());
            for element in elements {
                kept.extend(redact_value(expression, element, variables, context, depth)?);
            }
            Some(Bson::Array(kept))
        }
        other => Some(other),
    })
}

/// `$sample`: each set of `count` documents is as likely as any other (reservoir sampling), in a random order.
pub(super) fn sample<'a>(
    input: Documents<'a>,
    count: usize,
    context: &'a Context,
    memory: usize,
) -> Documents<'a> {
    lazily(move || {
        let mut kept: Vec<Document> = Vec::new();
        let mut bytes = 0_usize;
        for (at, document) in input.enumerate() {
            let document = document?;
            let weight = crate::expr::document_size(&document);
            if kept.len() < count {
                bytes += weight;
                kept.push(document);
            } else {
                let place = (context.random() % (at as u64 + 1)) as usize;
                if let Some(place) = kept.get_mut(place) {
                    bytes = (bytes + weight).saturating_sub(crate::expr::document_size(place));
                    *place = document;
                }
            }
            Held::new("$sample", memory).add_bytes(bytes)?;
        }
        for at in (1..kept.len()).rev() {
            kept.swap(at, (context.random() % (at as u64 + 1)) as usize);
        }
        Ok(Box::new(kept.into_iter().map(Ok)))
    })
}
