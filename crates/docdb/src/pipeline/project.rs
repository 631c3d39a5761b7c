//! `$project`, `$addFields` and `$unset`: trees of fields.

use std::borrow::Cow;

use bson::{Bson, Document};

use super::check_depth;
use crate::{
    Context, Error,
    error::{Result, code},
    expr::{Expression, MAX_DEPTH, Needs, Variables, shown, truth},
};

/// Fields in the order in which they were written.
type Tree = Vec<(String, Field)>;

#[derive(Clone, Debug)]
enum Field {
    Include,
    Exclude,
    /// An expression, and its number among those of the tree.
    Compute(Box<Expression>, usize),
    Nested(Tree),
}

/// A parsed `$project` or `$unset`.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    tree: Tree,
    /// What is not named stays.
    excludes: bool,
}

/// A parsed `$addFields`.
#[derive(Clone, Debug)]
pub(super) struct AddFields {
    tree: Tree,
}

/// Which stage is parsed, and with which variables.
struct Reader<'a> {
    stage: &'static str,
    variables: &'a [String],
    /// In `$addFields` every value is an expression, numbers and booleans too.
    adds: bool,
    included: Option<String>,
    excluded: Option<String>,
    computed: Option<String>,
}

impl Reader<'_> {
    fn fields(&mut self, specification: &Document, above: &str, tree: &mut Tree, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Error::new(
                code::OVERFLOW,
                format!("{} nests too deep", self.stage),
            ));
        }
        for (name, value) in specification {
            check_path(name)?;
            let full = if above.is_empty() {
                name.clone()
            } else {
                format!("{above}.{name}")
            };
            let field = self.field(&full, value, depth)?;
            add(tree, name, field, &full)?;
        }
        Ok(())
    }

    fn field(&mut self, full: &str, value: &Bson, depth: usize) -> Result<Field> {
        match value {
            Bson::Document(document) if document.is_empty() && !self.adds => Err(Error::new(
                51270,
                format!("An empty sub-projection is not a valid value. Found empty object at path {full}"),
            )),
            Bson::Document(document) if document.keys().next().is_some_and(|name| !name.starts_with('$')) => {
                let mut tree = Tree::new();
                self.fields(document, full, &mut tree, depth + 1)?;
                Ok(Field::Nested(tree))
            }
            Bson::Boolean(_) | Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_)
                if !self.adds =>
            {
                let includes = truth(value);
                // `_id` may be the exception of either kind.
                if full != "_id" {
                    self.take_side(full, includes)?;
                }
                Ok(match includes {
                    true => Field::Include,
                    false => Field::Exclude,
                })
            }
            Bson::Document(document) if document.len() > 1 => Err(Error::new(
                15983,
                format!(
                    "an object representing an expression must have exactly one field: {}",
                    shown(document)
                ),
            )),
            _ => {
                if let Some(excluded) = &self.excluded {
                    return Err(Error::new(
                        31252,
                        format!(
                            "Cannot use an expression, that of {full}, in an exclusion projection, which names {excluded}"
                        ),
                    ));
                }
                self.computed.get_or_insert_with(|| full.to_owned());
                Ok(Field::Compute(
                    Box::new(Expression::parse_with(value, self.variables)?),
                    0,
                ))
            }
        }
    }

    /// What is named first says whether fields are included or excluded, and what is on the other side then is refused.
    fn take_side(&mut self, full: &str, includes: bool) -> Result<()> {
        let (own, other) = match includes {
            true => (&mut self.included, self.excluded.as_ref()),
            false => (
                &mut self.excluded,
                self.included.as_ref().or(self.computed.as_ref()),
            ),
        };
        let Some(other) = other else {
            own.get_or_insert_with(|| full.to_owned());
            return Ok(());
        };
        Err(match includes {
            true => Error::new(
                31253,
                format!("Cannot do inclusion on field {full} in exclusion projection, which names {other}"),
            ),
            false => Error::new(
                31254,
                format!("Cannot do exclusion on field {full} in inclusion projection, which names {other}"),
            ),
        })
    }
}

/// Refuses what is no path of a field.
fn check_path(path: &str) -> Result<()> {
    crate::expr::FieldPath::parse(path).map(|_| ())
}

/// Adds a field under a path, which may be dotted.
fn add(tree: &mut Tree, path: &str, field: Field, full: &str) -> Result<()> {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let collision = || match rest {
        Some(rest) => Error::new(
            31249,
            format!("Path collision at {full} remaining portion {rest}"),
        ),
        None => Error::new(31250, format!("Path collision at {full}")),
    };
    let known = tree.iter().position(|known| known.0 == name);
    match (known.and_then(|at| tree.get_mut(at)), rest) {
        (None, None) => tree.push((name.to_owned(), field)),
        (None, Some(rest)) => {
            let mut below = Tree::new();
            add(&mut below, rest, field, full)?;
            tree.push((name.to_owned(), Field::Nested(below)));
        }
        (Some((_, Field::Nested(below))), Some(rest)) => add(below, rest, field, full)?,
        (Some((_, Field::Nested(below))), None) => match field {
            Field::Nested(more) => {
                for (name, field) in more {
                    add(below, &name, field, full)?;
                }
            }
            _ => return Err(collision()),
        },
        (Some(_), _) => return Err(collision()),
    }
    Ok(())
}

impl Projection {
    pub(crate) fn parse(specification: &Bson, variables: &[String]) -> Result<Self> {
        let Bson::Document(specification) = specification else {
            return Err(Error::new(15969, "$project specification must be an object"));
        };
        if specification.is_empty() {
            return Err(Error::new(
                51272,
                "projection specification must have at least one field",
            ));
        }
        let mut reader = Reader {
            stage: "$project",
            variables,
            adds: false,
            included: None,
            excluded: None,
            computed: None,
        };
        let mut tree = Tree::new();
        reader.fields(specification, "", &mut tree, 0)?;
        let id = tree.iter().find(|field| field.0 == "_id").map(|field| &field.1);
        let names_something = reader.included.is_some() || reader.computed.is_some();
        let excludes = reader.excluded.is_some() || !names_something && matches!(id, Some(Field::Exclude));
        if excludes {
            // `_id: 1` among exclusions says what is so anyway.
            tree.retain(|field| !matches!(field.1, Field::Include));
        } else if id.is_none() {
            tree.insert(0, ("_id".to_owned(), Field::Include));
        }
        number(&mut tree, &mut 0);
        Ok(Self { tree, excludes })
    }

    /// `$unset`: a name or a list of names.
    pub(super) fn parse_unset(specification: &Bson) -> Result<Self> {
        let names: Vec<&Bson> = match specification {
            Bson::Array(names) if !names.is_empty() => names.iter().collect(),
            Bson::Array(_) => {
                return Err(Error::new(
                    31119,
                    "$unset specification must be a string or an array with at least one field",
                ));
            }
            name => vec![name],
        };
        let mut tree = Tree::new();
        for name in names {
            let Bson::String(name) = name else {
                return Err(Error::new(
                    31002,
                    "$unset specification must be a string or an array of strings",
                ));
            };
            check_path(name)?;
            add(&mut tree, name, Field::Exclude, name)?;
        }
        Ok(Self { tree, excludes: true })
    }

    /// Adds the fields that are read; true where no other gets through.
    pub(crate) fn needs(&self, needs: &mut Needs) -> bool {
        if self.excludes {
            return false;
        }
        for (name, field) in &self.tree {
            field.needs(name, needs);
        }
        true
    }

    pub(crate) fn apply(
        &self,
        document: Document,
        variables: &Variables,
        context: &Context,
    ) -> Result<Document> {
        if self.excludes {
            return Ok(exclude(&self.tree, document));
        }
        let mut values = Values::compute(&self.tree, &document, variables, context)?;
        Ok(include(&self.tree, document, &mut values))
    }
}

impl Projection {
    /// If a top-level field comes out as it went in.
    pub(super) fn keeps(&self, field: &str) -> bool {
        let named = self.tree.iter().find(|(name, _)| name == field);
        match named {
            None => self.excludes || field == "_id",
            Some((_, Field::Include)) => !self.excludes,
            Some(_) => false,
        }
    }
}

impl AddFields {
    /// If it writes to a top-level field.
    pub(super) fn sets(&self, field: &str) -> bool {
        self.tree.iter().any(|(name, _)| name == field)
    }

    pub(super) fn parse(stage: &'static str, specification: &Bson, variables: &[String]) -> Result<Self> {
        let Bson::Document(specification) = specification else {
            return Err(Error::new(
                40272,
                format!("{stage} specification stage must be an object"),
            ));
        };
        if specification.is_empty() {
            return Err(Error::new(
                40177,
                format!("{stage} specification must have at least one field"),
            ));
        }
        let mut reader = Reader {
            stage,
            variables,
            adds: true,
            included: None,
            excluded: None,
            computed: None,
        };
        let mut tree = Tree::new();
        reader.fields(specification, "", &mut tree, 0)?;
        number(&mut tree, &mut 0);
        Ok(Self { tree })
    }

    pub(super) fn needs(&self, needs: &mut Needs) {
        for (name, field) in &self.tree {
            field.needs(name, needs);
        }
    }

    pub(super) fn apply(
        &self,
        mut document: Document,
        variables: &Variables,
        context: &Context,
    ) -> Result<Document> {
        let mut values = Values::compute(&self.tree, &document, variables, context)?;
        set_all(&self.tree, &mut document, &mut values);
        Ok(document)
    }
}

impl Field {
    fn needs(&self, name: &str, needs: &mut Needs) {
        match self {
            Self::Include | Self::Exclude => needs.add(name),
            Self::Compute(expression, _) => expression.needs(needs),
            Self::Nested(tree) => {
                needs.add(name);
                tree.iter().for_each(|field| field.1.needs(name, needs));
            }
        }
    }

    /// If it holds an expression.
    fn computes(&self) -> bool {
        match self {
            Self::Include | Self::Exclude => false,
            Self::Compute(..) => true,
            Self::Nested(tree) => computes(tree),
        }
    }
}

fn computes(tree: &Tree) -> bool {
    tree.iter().any(|field| field.1.computes())
}

/// Numbers the expressions of a tree.
fn number(tree: &mut Tree, next: &mut usize) {
    for (_, field) in tree {
        match field {
            Field::Compute(_, place) => {
                *place = *next;
                *next += 1;
            }
            Field::Nested(below) => number(below, next),
            Field::Include | Field::Exclude => {}
        }
    }
}

/// The values of the expressions of a tree, by their numbers.
struct Values {
    values: Vec<Option<Bson>>,
    /// They are asked for again: for another element of an array.
    again: bool,
}

impl Values {
    /// Evaluates all expressions of a tree. They see the document as it came in.
    fn compute(tree: &Tree, document: &Document, variables: &Variables, context: &Context) -> Result<Self> {
        let mut values = Vec::new();
        Self::add(tree, document, variables, context, &mut values)?;
        Ok(Self { values, again: false })
    }

    fn add(
        tree: &Tree,
        document: &Document,
        variables: &Variables,
        context: &Context,
        values: &mut Vec<Option<Bson>>,
    ) -> Result<()> {
        for (_, field) in tree {
            match field {
                Field::Compute(expression, _) => {
                    let value = expression
                        .evaluate(document, variables, context)?
                        .map(Cow::into_owned);
                    if let Some(value) = &value {
                        check_depth(value)?;
                    }
                    values.push(value);
                }
                Field::Nested(below) => Self::add(below, document, variables, context, values)?,
                Field::Include | Field::Exclude => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, number: usize) -> Option<Bson> {
        let value = self.values.get_mut(number)?;
        if self.again { value.clone() } else { value.take() }
    }

    /// Does something for each element of an array.
    fn for_each<T>(&mut self, elements: impl IntoIterator<Item = T>, mut run: impl FnMut(T, &mut Self)) {
        let again = std::mem::replace(&mut self.again, true);
        for element in elements {
            run(element, self);
        }
        self.again = again;
    }
}

fn include(tree: &Tree, document: Document, values: &mut Values) -> Document {
    let mut kept = Document::new();
    // A computed `_id` stands first, as an `_id` does.
    if let Some((_, Field::Compute(_, number))) = tree.iter().find(|field| field.0 == "_id")
        && let Some(value) = values.take(*number)
    {
        kept.insert("_id", value);
    }
    for (name, value) in document {
        match tree.iter().find(|field| field.0 == name).map(|field| &field.1) {
            Some(Field::Include) => {
                kept.insert(name, value);
            }
            Some(Field::Nested(below)) => {
                if let Some(value) = include_value(below, value, values) {
                    kept.insert(name, value);
                }
            }
            _ => {}
        }
    }
    for (name, field) in tree {
        match field {
            Field::Compute(_, number) if name != "_id" => {
                if let Some(value) = values.take(*number) {
                    kept.insert(name.as_str(), value);
                }
            }
            Field::Nested(below) if field.computes() && !kept.contains_key(name) => {
                kept.insert(name.as_str(), include(below, Document::new(), values));
            }
            _ => {}
        }
    }
    kept
}

fn include_value(tree: &Tree, value: Bson, values: &mut Values) -> Option<Bson> {
    match value {
        Bson::Document(document) => Some(Bson::Document(include(tree, document, values))),
        Bson::Array(elements) => {
            let mut kept = Vec::with_capacity(elements.len());
            values.for_each(elements, |element, values| {
                kept.extend(include_value(tree, element, values))
            });
            Some(Bson::Array(kept))
        }
        // A scalar has no fields; where some are computed, a document takes its place.
        _ if computes(tree) => Some(Bson::Document(include(tree, Document::new(), values))),
        _ => None,
    }
}

fn exclude(tree: &Tree, document: Document) -> Document {
    document
        .into_iter()
        .filter_map(
            |(name, value)| match tree.iter().find(|field| field.0 == name).map(|field| &field.1) {
                None => Some((name, value)),
                Some(Field::Nested(below)) => Some((name, exclude_value(below, value))),
                Some(_) => None,
            },
        )
        .collect()
}

fn exclude_value(tree: &Tree, value: Bson) -> Bson {
    match value {
        Bson::Document(document) => Bson::Document(exclude(tree, document)),
        Bson::Array(elements) => Bson::Array(
            elements
                .into_iter()
                .map(|element| exclude_value(tree, element))
                .collect(),
        ),
        other => other,
    }
}

fn set_all(tree: &Tree, document: &mut Document, values: &mut Values) {
    for (name, field) in tree {
        match field {
            Field::Compute(_, number) => match values.take(*number) {
                Some(value) => {
                    document.insert(name.as_str(), value);
                }
                None => {
                    document.remove(name);
                }
            },
            Field::Nested(below) => {
                let value = document.entry(name.as_str()).or_insert(Bson::Null);
                set_in(below, value, values);
            }
            Field::Include | Field::Exclude => {}
        }
    }
}

fn set_in(tree: &Tree, value: &mut Bson, values: &mut Values) {
    match value {
        Bson::Document(document) => set_all(tree, document, values),
        Bson::Array(elements) => values.for_each(elements, |element, values| set_in(tree, element, values)),
        other => {
            let mut document = Document::new();
            set_all(tree, &mut document, values);
            *other = Bson::Document(document);
        }
    }
}

/// Sets a field at a path; what is no document on the way becomes one.
pub(super) fn set_path(document: &mut Document, path: &[String], value: Bson) {
    match path {
        [] => {}
        [name] => {
            document.insert(name.as_str(), value);
        }
        [name, rest @ ..] => {
            let below = document.entry(name.as_str()).or_insert(Bson::Null);
            if !matches!(below, Bson::Document(_)) {
                *below = Bson::Document(Document::new());
            }
            if let Bson::Document(below) = below {
                set_path(below, rest, value);
            }
        }
    }
}
