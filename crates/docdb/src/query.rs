//! Queries: `{status: "open", age: {$gte: 18}}`.
//!
//! A filter is parsed once into a tree and then asked of one document after the other; nothing is allocated for a document.
//! A condition on a field holds if one of the values that its path names meets it: the value, or, where it is an array,
//! one of its elements. Two conditions may be met by different elements; `$elemMatch` wants one element for all of its own.
//! `$ne`, `$nin` and `$not` are the negation of the whole.

mod parse;
mod raw;
mod test;

use std::cell::Cell;

use bson::{Bson, Document};

pub use self::test::{Comparison, Test, Types};
use crate::{
    Context,
    error::Result,
    expr::{Expression, Needs, Variables},
    geo,
    path::{Element, Path, walk},
    regex::Pattern,
};

/// A parsed query.
#[derive(Clone, Debug)]
pub struct Filter {
    root: Node,
    near: Option<Near>,
    /// How many regular expressions it has.
    patterns: usize,
}

/// `$near` and `$nearSphere`: a condition that also sorts. It stands in no tree, because a query has one at most and no
/// document meets it by itself alone.
#[derive(Clone, Debug)]
pub struct Near {
    /// The field with the position.
    pub path: Path,
    /// From where, and how far.
    pub query: geo::Near,
}

impl Default for Filter {
    /// The query `{}`.
    fn default() -> Self {
        Self {
            root: Node::And(Vec::new()),
            near: None,
            patterns: 0,
        }
    }
}

impl Near {
    /// The distance of the nearest position in `document`, where one is within the range.
    #[must_use]
    pub fn distance(&self, document: &Document) -> Option<f64> {
        self.query
            .nearest(document, &self.path)
            .map(|(distance, _)| distance)
    }
}

/// A condition on a document.
#[derive(Clone, Debug)]
pub enum Node {
    /// All of them; none is true.
    And(Vec<Self>),
    /// One of them.
    Or(Vec<Self>),
    /// None of them.
    Nor(Vec<Self>),
    /// A condition on a field.
    Field(Path, Predicate),
    /// `$expr`
    Expression(Box<Expression>),
    /// `$alwaysTrue`, `$alwaysFalse`
    Constant(bool),
}

/// A condition on what a path names.
#[derive(Clone, Debug)]
pub enum Predicate {
    /// All of them, each on its own: different elements of an array may meet them.
    And(Vec<Self>),
    /// Not so for any of the values.
    Not(Box<Self>),
    /// One of the values meets it.
    Test(Test),
}

/// What a match is made with, and where it notes what the positional `$` stands for.
struct Scope<'a> {
    variables: &'a Variables,
    context: &'a Context,
    element: Cell<Element>,
}

impl Filter {
    /// Parses a query.
    ///
    /// # Errors
    /// What MongoDB refuses before it looks at a document.
    pub fn parse(query: &Document) -> Result<Self> {
        Self::parse_with(query, &[])
    }

    /// Parses a query whose `$expr` may name `variables`.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn parse_with(query: &Document, variables: &[String]) -> Result<Self> {
        parse::filter(query, variables)
    }

    /// The query that a document meets if it meets all of these. Of several that sort by distance, the first does.
    #[must_use]
    pub fn all_of(filters: &[&Self]) -> Self {
        if let [only] = filters {
            return Self::clone(only);
        }
        let nodes = filters.iter().map(|filter| filter.root.clone()).collect();
        Self {
            root: Node::And(nodes),
            near: filters.iter().find_map(|filter| filter.near.clone()),
            patterns: filters.iter().map(|filter| filter.patterns).sum(),
        }
    }

    /// The same query, for documents that are near by that.
    #[must_use]
    pub fn nearby(self, near: Near) -> Self {
        Self {
            near: Some(near),
            ..self
        }
    }

    /// If the query is `{}`, which all documents meet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(&self.root, Node::And(nodes) if nodes.is_empty()) && self.near.is_none()
    }

    /// How many regular expressions it has, those of `$expr` among them.
    #[must_use]
    pub const fn patterns(&self) -> usize {
        self.patterns
    }

    /// The tree of conditions; a `$near` is not in it.
    #[must_use]
    pub const fn root(&self) -> &Node {
        &self.root
    }

    /// The `$near` of the query. Who runs the query sorts what matches by [`Near::distance`], where no other order is asked
    /// for.
    #[must_use]
    pub const fn near(&self) -> Option<&Near> {
        self.near.as_ref()
    }

    /// If `document` meets the query.
    ///
    /// # Errors
    /// What an expression or a regex meets.
    pub fn matches(&self, document: &Document, variables: &Variables, context: &Context) -> Result<bool> {
        Ok(self.find_element(document, variables, context)?.is_some())
    }

    /// If `document` meets the query, and which element of an array met it: what the positional `$` of an update or a
    /// projection stands for.
    ///
    /// # Errors
    /// As [`Filter::matches`].
    pub fn find_element(
        &self,
        document: &Document,
        variables: &Variables,
        context: &Context,
    ) -> Result<Option<Element>> {
        let scope = Scope {
            variables,
            context,
            element: Cell::new(None),
        };
        if !self.root.matches(document, &scope)? {
            return Ok(None);
        }
        if self
            .near
            .as_ref()
            .is_some_and(|near| near.distance(document).is_none())
        {
            return Ok(None);
        }
        Ok(Some(scope.element.get()))
    }

    /// Adds the top-level fields that the query reads, so that the rest of a document need not be decoded.
    pub fn needs(&self, needs: &mut Needs) {
        self.root.needs(needs);
        if let Some(near) = &self.near {
            needs.add(near.path.first());
        }
    }
}

impl Node {
    fn needs(&self, needs: &mut Needs) {
        match self {
            Self::And(nodes) | Self::Or(nodes) | Self::Nor(nodes) => {
                nodes.iter().for_each(|node| node.needs(needs))
            }
            Self::Field(path, _) => needs.add(path.first()),
            Self::Expression(expression) => expression.needs(needs),
            Self::Constant(_) => {}
        }
    }

    fn matches(&self, document: &Document, scope: &Scope<'_>) -> Result<bool> {
        Ok(match self {
            Self::And(nodes) => {
                for node in nodes {
                    if !node.matches(document, scope)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Or(nodes) => any(nodes, document, scope)?,
            Self::Nor(nodes) => !any(nodes, document, scope)?,
            Self::Field(path, predicate) => predicate.matches_path(document, path, scope)?,
            Self::Expression(expression) => expression.test(document, scope.variables, scope.context)?,
            Self::Constant(constant) => *constant,
        })
    }
}

fn any(nodes: &[Node], document: &Document, scope: &Scope<'_>) -> Result<bool> {
    for node in nodes {
        if node.matches(document, scope)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Predicate {
    fn matches_path(&self, document: &Document, path: &Path, scope: &Scope<'_>) -> Result<bool> {
        match self {
            Self::And(all) => {
                for predicate in all {
                    if !predicate.matches_path(document, path, scope)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Not(predicate) => {
                let element = scope.element.get();
                let met = predicate.matches_path(document, path, scope)?;
                scope.element.set(element);
                Ok(!met)
            }
            Self::Test(test) => {
                let mut failure = None;
                let met = walk(document, path, &mut |value, element| {
                    test.meets(value, element, scope).unwrap_or_else(|error| {
                        failure = Some(error);
                        true
                    })
                });
                failure.map_or(Ok(met), Err)
            }
        }
    }

    /// If the value of a field, or one of its elements, meets it.
    fn matches_field(&self, value: &Bson, scope: &Scope<'_>) -> Result<bool> {
        match self {
            Self::And(all) => {
                for predicate in all {
                    if !predicate.matches_field(value, scope)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Not(predicate) => Ok(!predicate.matches_field(value, scope)?),
            Self::Test(test) => test.meets(Some(value), None, scope),
        }
    }

    /// If one value, an element of an array, meets it itself.
    fn matches_value(&self, value: &Bson, scope: &Scope<'_>) -> Result<bool> {
        match self {
            Self::And(all) => {
                for predicate in all {
                    if !predicate.matches_value(value, scope)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Not(predicate) => Ok(!predicate.matches_value(value, scope)?),
            Self::Test(test) => {
                scope.context.spend_if_strict(1)?;
                test.meets_itself(value, scope)
            }
        }
    }
}

/// What one element of an array has to meet.
#[derive(Clone, Debug)]
pub struct ElementCondition(Condition);

#[derive(Clone, Debug)]
enum Condition {
    /// Operators on the element.
    Value(Predicate),
    /// A query on its fields.
    Fields(Node),
}

impl ElementCondition {
    /// Parses what an element of an array has to meet: operators (`{$gt: 5}`) on the element itself, or a query on the
    /// fields of an element that is a document.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn parse(condition: &Document) -> Result<Self> {
        parse::element(condition)
    }

    /// An element has to match a pattern.
    #[must_use]
    pub fn of_pattern(pattern: Pattern) -> Self {
        Self(Condition::Value(Predicate::Test(Test::Regex(Box::new(pattern)))))
    }

    /// If `value` meets it, as `$elemMatch` means it: operators look at the element alone.
    ///
    /// # Errors
    /// What a regex meets.
    pub fn matches(&self, value: &Bson, context: &Context) -> Result<bool> {
        self.0.matches(value, &Scope::of_element(context))
    }

    /// If `value` meets it, as `$pull` means it: operators look at an element that is an array as at the value of a field,
    /// into its elements too, and a query on fields is met by documents alone.
    ///
    /// # Errors
    /// What a regex meets.
    pub fn matches_element(&self, value: &Bson, context: &Context) -> Result<bool> {
        let scope = Scope::of_element(context);
        match &self.0 {
            Condition::Value(predicate) => predicate.matches_field(value, &scope),
            Condition::Fields(node) => match value {
                Bson::Document(document) => node.matches(document, &scope),
                _ => Ok(false),
            },
        }
    }
}

impl<'a> Scope<'a> {
    const fn of_element(context: &'a Context) -> Self {
        Self {
            variables: &NO_VARIABLES,
            context,
            element: Cell::new(None),
        }
    }
}

static NO_VARIABLES: Variables = Variables::none();

impl Condition {
    fn matches(&self, value: &Bson, scope: &Scope<'_>) -> Result<bool> {
        match (self, value) {
            (Self::Value(predicate), _) => predicate.matches_value(value, scope),
            (Self::Fields(node), Bson::Document(document)) => node.matches(document, scope),
            // An array is a document whose fields are named 0, 1, 2 …
            (Self::Fields(node), Bson::Array(elements)) => {
                let document = elements
                    .iter()
                    .enumerate()
                    .map(|(at, element)| (at.to_string(), element.clone()))
                    .collect();
                node.matches(&document, scope)
            }
            (Self::Fields(_), _) => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests;
