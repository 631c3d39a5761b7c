//! The parser: from a BSON value to the tree, refusing what MongoDB refuses.

mod special;

use std::slice;

use bson::{Bson, DateTime, Document};

use super::{
    FieldPath, MAX_DEPTH, Node, Scope,
    logic::Comparison,
    search::Source,
    table::{self, ByName},
    value::{fail, truth},
};
use crate::{
    Context, Error,
    error::{Result, code},
};

/// The levels around an expression: the command, its pipeline, the stage, its argument.
const AROUND: usize = 4;

/// Reads expressions; knows which variables are in sight.
pub(super) struct Parser<'a> {
    outer: &'a [String],
    /// The variables of `$let` and of loops, innermost last.
    frames: Vec<Vec<String>>,
    depth: usize,
    /// How many places that may never be evaluated the parser stands in: what fails there need not fail.
    unsure: usize,
}

impl<'a> Parser<'a> {
    /// A parser that knows the caller's variables.
    pub(super) const fn new(outer: &'a [String]) -> Self {
        Self {
            outer,
            frames: Vec::new(),
            depth: 0,
            unsure: 0,
        }
    }

    pub(super) fn expression(&mut self, value: &Bson) -> Result<Node> {
        match value {
            Bson::String(text) => self.string(text),
            Bson::Array(_) | Bson::Document(_) => {
                // An array or document is one level.
                self.descend()?;
                let node = match value {
                    Bson::Document(document) => self.document(document),
                    Bson::Array(elements) => self
                        .list(elements)
                        .and_then(|nodes| self.fold(Node::Array(nodes))),
                    _ => Ok(Node::Missing),
                };
                self.depth -= 1;
                node
            }
            value => Ok(Node::Constant(value.clone())),
        }
    }

    fn descend(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH - AROUND {
            return fail(
                code::OVERFLOW,
                format!("the expression exceeds maximum nested object depth: {MAX_DEPTH}"),
            );
        }
        Ok(())
    }

    fn list(&mut self, elements: &[Bson]) -> Result<Vec<Node>> {
        elements.iter().map(|element| self.expression(element)).collect()
    }

    fn document(&mut self, document: &Document) -> Result<Node> {
        match document.iter().next() {
            Some((name, argument)) if name.starts_with('$') => {
                if document.len() > 1 {
                    return fail(
                        15983,
                        format!(
                            "an object representing an expression must have exactly one field: {}",
                            shown(document)
                        ),
                    );
                }
                self.operator(name, argument)
            }
            _ => {
                let mut fields = Vec::with_capacity(document.len());
                for (name, value) in document {
                    check_field_name(name)?;
                    fields.push((name.clone(), self.expression(value)?));
                }
                self.fold(Node::Object(fields))
            }
        }
    }

    fn string(&mut self, text: &str) -> Result<Node> {
        if let Some(variable) = text.strip_prefix("$$") {
            return self.variable(variable);
        }
        match text.strip_prefix('$') {
            None => Ok(Node::Constant(Bson::String(text.to_owned()))),
            Some("") => fail(16872, "'$' by itself is not a valid FieldPath"),
            Some(path) => {
                let path = FieldPath::parse(path)?;
                // `$a` is short for `$$CURRENT.a`, and CURRENT can be bound.
                Ok(match self.find("CURRENT") {
                    Some((frame, slot)) => Node::Inner {
                        frame,
                        slot,
                        path: Some(path),
                    },
                    None => Node::Field(path),
                })
            }
        }
    }

    /// The frame, counted from the innermost, and the slot of a variable.
    fn find(&self, name: &str) -> Option<(usize, usize)> {
        self.frames.iter().rev().enumerate().find_map(|(frame, names)| {
            let slot = names.iter().rposition(|known| known == name)?;
            Some((frame, slot))
        })
    }

    fn variable(&mut self, text: &str) -> Result<Node> {
        if text.is_empty() {
            return fail(code::FAILED_TO_PARSE, "empty variable names are not allowed");
        }
        let whole = FieldPath::parse(text)?;
        let name = whole.first();
        let path = text
            .split_once('.')
            .map(|(_, rest)| FieldPath::parse(rest))
            .transpose()?;
        if let Some((frame, slot)) = self.find(name) {
            return Ok(Node::Inner { frame, slot, path });
        }
        match name {
            "ROOT" | "CURRENT" => return Ok(path.map_or(Node::Root, Node::Field)),
            "REMOVE" => return Ok(Node::Missing),
            "NOW" => return Ok(if path.is_some() { Node::Missing } else { Node::Now }),
            _ => {}
        }
        check_variable_characters(name)?;
        if let Some(slot) = self.outer.iter().rposition(|known| known == name) {
            return Ok(Node::Outer { slot, path });
        }
        fail(17276, format!("Use of undefined variable: {name}"))
    }

    /// Computes what depends on no document; what fails then fails for every document, and is refused at once.
    fn fold(&self, node: Node) -> Result<Node> {
        if !node.children_are_constant() {
            return Ok(node);
        }
        match node.constant_value() {
            Ok(value) => Ok(value.map_or(Node::Missing, Node::Constant)),
            Err(_) if self.unsure > 0 => Ok(node),
            Err(error) => Err(error),
        }
    }

    /// The nodes of an operator's arguments: those of an array, or a single one.
    fn arguments(&mut self, argument: &Bson) -> Result<Vec<Node>> {
        match argument {
            Bson::Array(elements) => {
                self.descend()?;
                let nodes = self.list(elements);
                self.depth -= 1;
                nodes
            }
            other => self.list(slice::from_ref(other)),
        }
    }

    fn operator(&mut self, name: &str, argument: &Bson) -> Result<Node> {
        if let Some(operator) = table::ordered(name) {
            let nodes = self.arguments(argument)?;
            check_count(name, nodes.len(), operator.least, operator.most)?;
            return self.fold(Node::Strict(operator.run, nodes));
        }
        let comparison = match name {
            "$eq" => Some(Comparison::Equal),
            "$ne" => Some(Comparison::NotEqual),
            "$gt" => Some(Comparison::Greater),
            "$gte" => Some(Comparison::GreaterOrEqual),
            "$lt" => Some(Comparison::Less),
            "$lte" => Some(Comparison::LessOrEqual),
            _ => None,
        };
        if let Some(comparison) = comparison {
            let nodes = self.arguments(argument)?;
            check_count(name, nodes.len(), 2, 2)?;
            return match <[Node; 2]>::try_from(nodes) {
                Ok(both) => self.fold(Node::Compare(comparison, Box::new(both))),
                Err(_) => Ok(Node::Missing),
            };
        }
        if let Some(operator) = table::by_name(name) {
            return self.by_name(name, argument, &operator);
        }
        if let Some(run) = table::date_part(name) {
            let slots = self.date_part(name, argument)?;
            return self.fold(Node::Named(run, slots));
        }
        self.special(name, argument)
    }

    fn by_name(&mut self, name: &str, argument: &Bson, operator: &ByName) -> Result<Node> {
        let [not_object, unknown, missing] = operator.codes;
        let Bson::Document(document) = argument else {
            return fail(
                not_object,
                format!(
                    "{name} only supports an object as an argument, found: {}",
                    super::type_name(argument)
                ),
            );
        };
        let mut slots: Vec<Option<Node>> = operator.slots.iter().map(|_| None).collect();
        for (field, value) in document {
            let Some(at) = operator.slots.iter().position(|slot| slot == field) else {
                return fail(unknown, format!("Unrecognized argument to {name}: {field}"));
            };
            slots[at] = Some(self.expression(value)?);
        }
        for (at, slot) in operator.slots.iter().enumerate().take(operator.required) {
            if slots[at].is_none() {
                return fail(missing, format!("Missing '{slot}' parameter to {name}"));
            }
        }
        if name == "$dateFromParts" {
            special::check_date_parts(document)?;
        }
        if matches!(name, "$dateToString" | "$dateFromString")
            && let Some(Node::Constant(Bson::String(format))) = &slots[1]
        {
            let known = if name == "$dateToString" {
                "dGHjLmMSwuUVYzZbB%"
            } else {
                "dGHjLmMSuVYzZbB%"
            };
            super::date::check_format(format, known)?;
        }
        self.fold(Node::Named(operator.run, slots))
    }

    fn date_part(&mut self, name: &str, argument: &Bson) -> Result<Vec<Option<Node>>> {
        match argument {
            Bson::Document(document)
                if document.keys().next().is_none_or(|first| !first.starts_with('$')) =>
            {
                let mut slots = vec![None, None];
                for (field, value) in document {
                    let at = match field.as_str() {
                        "date" => 0,
                        "timezone" => 1,
                        other => return fail(40535, format!("unrecognized option to {name}: \"{other}\"")),
                    };
                    slots[at] = Some(self.expression(value)?);
                }
                if slots[0].is_none() {
                    return fail(
                        40539,
                        format!("missing 'date' argument to {name}, provided: {}", shown(document)),
                    );
                }
                Ok(slots)
            }
            Bson::Array(elements) => match elements.as_slice() {
                [one] => Ok(vec![Some(self.expression(one)?), None]),
                _ => fail(
                    40536,
                    format!(
                        "{name} accepts exactly one argument if given an array, but was given {}",
                        elements.len()
                    ),
                ),
            },
            other => Ok(vec![Some(self.expression(other)?), None]),
        }
    }
}

fn check_count(name: &str, count: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&count) {
        return Ok(());
    }
    if least == most {
        return fail(
            16020,
            format!("Expression {name} takes exactly {least} arguments. {count} were passed in."),
        );
    }
    if most == usize::MAX {
        let code = if name == "$setEquals" { 17045 } else { 28667 };
        return fail(
            code,
            format!("Expression {name} needs at least {least} arguments, had: {count}"),
        );
    }
    fail(
        28667,
        format!(
            "Expression {name} takes at least {least} arguments, and at most {most}, but {count} were passed in."
        ),
    )
}

/// Refuses what is no name for a field that an expression builds.
fn check_field_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return fail(40352, "FieldPath cannot be constructed with empty string");
    }
    if name.starts_with('$') {
        return fail(
            16410,
            format!("FieldPath field names may not start with '$': '{name}'."),
        );
    }
    if name.contains('\0') {
        return fail(16411, "FieldPath field names may not contain '\\0'.");
    }
    if name.contains('.') {
        return fail(
            16412,
            format!("FieldPath field names may not contain '.': '{name}'."),
        );
    }
    Ok(())
}

fn check_variable_characters(name: &str) -> Result<()> {
    if let Some(bad) = name
        .chars()
        .find(|char| !(char.is_ascii_alphanumeric() || *char == '_' || !char.is_ascii()))
    {
        return fail(
            code::FAILED_TO_PARSE,
            format!("'{name}' contains an invalid character for a variable name: '{bad}'"),
        );
    }
    Ok(())
}

/// Refuses what is no name for a variable that is bound.
pub(crate) fn check_variable_name(name: &str) -> Result<()> {
    if name == "CURRENT" {
        return Ok(());
    }
    let Some(first) = name.chars().next() else {
        return fail(code::FAILED_TO_PARSE, "empty variable names are not allowed");
    };
    if !first.is_ascii_lowercase() && first.is_ascii() {
        return fail(
            code::FAILED_TO_PARSE,
            format!("'{name}' starts with an invalid character for a user variable name"),
        );
    }
    check_variable_characters(name)
}

/// A document in an error's text, cut where it is long.
pub(crate) fn shown(document: &Document) -> String {
    let text = document.to_string();
    text.chars().take(120).collect()
}

impl Node {
    const fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_) | Self::Missing)
    }

    /// The value of a node that depends on no document.
    fn constant_value(&self) -> Result<Option<Bson>> {
        let root = Document::new();
        let context = Context::new(DateTime::from_millis(0), 0);
        let value = self.evaluate(&Scope {
            root: &root,
            outer: &[],
            frame: None,
            context: &context,
        })?;
        Ok(value.map(std::borrow::Cow::into_owned))
    }

    fn children_are_constant(&self) -> bool {
        let all = |nodes: &[Self]| nodes.iter().all(Self::is_constant);
        match self {
            Self::Object(fields) => fields.iter().all(|field| field.1.is_constant()),
            Self::Array(nodes) | Self::IfNull(nodes) | Self::Strict(_, nodes) => all(nodes),
            Self::Compare(_, both) => all(both.as_slice()),
            Self::Named(_, slots) => slots.iter().flatten().all(Self::is_constant),
            Self::Sort(input, _) => input.is_constant(),
            Self::Search(search) => {
                search.input.is_constant() && matches!(search.source, Source::Constant(_))
            }
            _ => false,
        }
    }
}

/// The truth of a constant; `None` where it depends on the document.
fn known_truth(node: &Node) -> Option<bool> {
    match node {
        Node::Constant(value) => Some(truth(value)),
        Node::Missing => Some(false),
        _ => None,
    }
}

fn unknown_operator(name: &str) -> Error {
    Error::new(
        code::INVALID_PIPELINE_OPERATOR,
        format!("Unrecognized expression '{name}'"),
    )
}
