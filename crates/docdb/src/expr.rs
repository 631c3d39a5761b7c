//! Aggregation expressions: `{$add: ["$price", 1]}`.
//!
//! An expression is parsed once into a tree, in which field paths are taken apart, variables are places in frames, and
//! what does not depend on a document is computed already; it is then evaluated for one document after the other. A
//! result of `None` is a missing value: it is not null, and leaves no field behind. Values are borrowed from the document
//! or the expression where they need not be made.

mod array;
mod convert;
mod date;
mod decimal;
mod depend;
mod evaluate;
mod logic;
mod number;
mod object;
mod parse;
mod path;
mod search;
mod set;
mod statistic;
mod table;
mod text;
mod time;
mod value;
mod zone;

#[cfg(test)]
pub(crate) mod tests;

use std::borrow::Cow;

use bson::{Bson, Document};

use crate::{Context, error::Result};

use self::{array::ElementOrder, parse::Parser, value::Meter};
pub use self::{
    depend::Needs,
    path::FieldPath,
    statistic::{Average, Deviation, Sum},
    value::{depth_within, document_size, truth, type_name, value_size},
};
pub(crate) use self::{
    parse::{check_variable_name, shown},
    statistic::percentile,
};

/// What an expression gives: a value, borrowed where it can be, or nothing (missing).
pub type Value<'a> = Option<Cow<'a, Bson>>;

/// No value that an expression builds is larger than this.
pub const MAX_VALUE_BYTES: usize = 64 << 20;
/// No document, nor a string in one, is larger than this.
pub const MAX_DOCUMENT_BYTES: usize = 16 << 20;
/// How deep a value may nest, as in MongoDB.
pub const MAX_DEPTH: usize = 200;

/// Variables that a caller gives to expressions: `let` of a command or of `$lookup`. Their names are known when an
/// expression is parsed, their values when it is evaluated.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    values: Vec<Option<Bson>>,
}

impl Variables {
    /// No variables.
    #[must_use]
    pub const fn none() -> Self {
        Self { values: Vec::new() }
    }

    /// Values in the order of the names with which the expressions were parsed; `None` is a missing value.
    #[must_use]
    pub const fn new(values: Vec<Option<Bson>>) -> Self {
        Self { values }
    }

    /// The values, in order.
    #[must_use]
    pub fn values(&self) -> &[Option<Bson>] {
        &self.values
    }
}

/// A parsed expression.
#[derive(Clone, Debug)]
pub struct Expression {
    node: Node,
}

/// A function of evaluated arguments.
type Strict = for<'a> fn(Vec<Value<'a>>) -> Result<Value<'a>>;
/// A function of named arguments; one that was not written is `None`.
type Named = for<'a> fn(Vec<Option<Value<'a>>>) -> Result<Value<'a>>;

#[derive(Clone, Debug)]
enum Node {
    Constant(Bson),
    /// `$$REMOVE`, and what folds to a missing value.
    Missing,
    /// A path into the document.
    Field(FieldPath),
    /// `$$ROOT`, `$$CURRENT`.
    Root,
    /// `$$NOW`, `$rand`.
    Now,
    Random,
    /// A variable of `$let`, `$map`, `$filter`, `$reduce`.
    Inner {
        /// How many frames up from the innermost.
        frame: usize,
        slot: usize,
        path: Option<FieldPath>,
    },
    /// A variable of the caller's.
    Outer {
        slot: usize,
        path: Option<FieldPath>,
    },
    Object(Vec<(String, Self)>),
    Array(Vec<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
    IfNull(Vec<Self>),
    /// Conditions with their values, and the default.
    Switch(Vec<(Self, Self)>, Option<Box<Self>>),
    Let(Vec<Self>, Box<Self>),
    Map(Box<Self>, Box<Self>),
    Filter {
        input: Box<Self>,
        condition: Box<Self>,
        limit: Option<Box<Self>>,
    },
    Reduce {
        input: Box<Self>,
        initial: Box<Self>,
        body: Box<Self>,
    },
    /// A comparison: no value is made for it.
    Compare(logic::Comparison, Box<[Self; 2]>),
    Strict(Strict, Vec<Self>),
    Named(Named, Vec<Option<Self>>),
    Sort(Box<Self>, ElementOrder),
    Search(Box<search::Search>),
}

/// The variables of one `$let` or one round of a loop.
struct Frame<'a> {
    values: &'a [Value<'a>],
    above: Option<&'a Self>,
}

/// What an evaluation looks at: one document, variables, and the operation's context.
#[derive(Clone, Copy)]
struct Scope<'a> {
    root: &'a Document,
    outer: &'a [Option<Bson>],
    frame: Option<&'a Frame<'a>>,
    context: &'a Context,
}

impl Expression {
    /// Parses an expression without variables of the caller's. Whatever MongoDB refuses before it looks at a document is
    /// refused here, what the folding of constants meets included.
    pub fn parse(value: &Bson) -> Result<Self> {
        Self::parse_with(value, &[])
    }

    /// Parses an expression that may name `variables`.
    pub fn parse_with(value: &Bson, variables: &[String]) -> Result<Self> {
        Ok(Self {
            node: Parser::new(variables).expression(value)?,
        })
    }

    /// The expression that gives `value` for every document.
    #[must_use]
    pub const fn of(value: Bson) -> Self {
        Self {
            node: Node::Constant(value),
        }
    }

    /// The value for `document`, or `None` where it is missing.
    pub fn evaluate<'a>(
        &'a self,
        document: &'a Document,
        variables: &'a Variables,
        context: &'a Context,
    ) -> Result<Value<'a>> {
        self.node.evaluate(&Scope {
            root: document,
            outer: &variables.values,
            frame: None,
            context,
        })
    }

    /// If the value for `document` counts as true.
    pub fn test(&self, document: &Document, variables: &Variables, context: &Context) -> Result<bool> {
        Ok(self
            .evaluate(document, variables, context)?
            .is_some_and(|value| truth(&value)))
    }

    /// The value, if it is the same for every document.
    #[must_use]
    pub const fn constant(&self) -> Option<&Bson> {
        match &self.node {
            Node::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The path of the field that the expression is, if it is one.
    #[must_use]
    pub const fn field(&self) -> Option<&FieldPath> {
        match &self.node {
            Node::Field(path) => Some(path),
            _ => None,
        }
    }

    /// Adds the fields of the document that the expression reads.
    pub fn needs(&self, needs: &mut Needs) {
        self.node.needs(needs);
    }
}
