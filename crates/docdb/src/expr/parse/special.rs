//! Operators with a form of their own: those that bind variables, choose, or look at the text of their argument.

use bson::{Bson, Document};

use super::{Parser, check_count, check_variable_name, known_truth, unknown_operator};
use crate::{
    Error,
    error::{Result, code},
    expr::{
        ElementOrder, FieldPath, Node, array, object,
        search::{Search, Wanted},
        type_name,
        value::fail,
    },
};

/// The year's form and the week's form do not mix, and one of them must be there.
pub(super) fn check_date_parts(parts: &Document) -> Result<()> {
    let has = |name: &str| parts.contains_key(name);
    if has("year") {
        if ["isoWeekYear", "isoWeek", "isoDayOfWeek"].into_iter().any(has) {
            return fail(
                40489,
                "$dateFromParts does not allow mixing natural dates with ISO dates",
            );
        }
    } else if has("isoWeekYear") {
        if ["month", "day"].into_iter().any(has) {
            return fail(
                40525,
                "$dateFromParts does not allow mixing ISO dates with natural dates",
            );
        }
    } else {
        return fail(
            40516,
            "$dateFromParts requires either 'year' or 'isoWeekYear' to be present",
        );
    }
    Ok(())
}

/// The arguments of an operator that takes a document, each by its name.
struct Arguments<'v> {
    operator: &'static str,
    document: &'v Document,
}

impl<'v> Arguments<'v> {
    fn new(
        operator: &'static str,
        argument: &'v Bson,
        known: &[&str],
        not_object: i32,
        unknown: i32,
    ) -> Result<Self> {
        let Bson::Document(document) = argument else {
            return fail(
                not_object,
                format!(
                    "{operator} only supports an object as its argument, found: {}",
                    type_name(argument)
                ),
            );
        };
        if let Some(name) = document.keys().find(|name| !known.contains(&name.as_str())) {
            return fail(unknown, format!("Unrecognized parameter to {operator}: {name}"));
        }
        Ok(Self { operator, document })
    }

    fn get(&self, name: &str) -> Option<&'v Bson> {
        self.document.get(name)
    }

    fn require(&self, name: &str, code: i32) -> Result<&'v Bson> {
        self.get(name)
            .ok_or_else(|| Error::new(code, format!("Missing '{name}' parameter to {}", self.operator)))
    }

    /// The name of a loop's variable.
    fn variable(&self, default: &str) -> Result<String> {
        match self.get("as") {
            None => Ok(default.to_owned()),
            Some(Bson::String(name)) => {
                check_variable_name(name)?;
                Ok(name.clone())
            }
            Some(other) => fail(
                code::FAILED_TO_PARSE,
                format!(
                    "{}: 'as' must be a string, found: {}",
                    self.operator,
                    type_name(other)
                ),
            ),
        }
    }
}

impl Parser<'_> {
    pub(super) fn special(&mut self, name: &str, argument: &Bson) -> Result<Node> {
        match name {
            "$literal" | "$const" => Ok(Node::Constant(argument.clone())),
            "$and" => {
                let nodes = self.arguments(argument)?;
                Ok(decided(nodes, false).map_or_else(|| Node::Constant(Bson::Boolean(false)), Node::And))
            }
            "$or" => {
                let nodes = self.arguments(argument)?;
                Ok(decided(nodes, true).map_or_else(|| Node::Constant(Bson::Boolean(true)), Node::Or))
            }
            "$cond" => self.cond(argument),
            "$ifNull" => self.if_null(argument),
            "$switch" => self.switch(argument),
            "$let" => self.bind(argument),
            "$map" => self.map(argument),
            "$filter" => self.filter(argument),
            "$reduce" => self.reduce(argument),
            "$zip" => self.zip(argument),
            "$regexMatch" => self.search("$regexMatch", Wanted::Any, argument),
            "$regexFind" => self.search("$regexFind", Wanted::First, argument),
            "$regexFindAll" => self.search("$regexFindAll", Wanted::All, argument),
            "$sortArray" => self.sort_array(argument),
            "$getField" => self.get_field(argument),
            "$unsetField" => self.unset_field(argument),
            "$rand" => match argument {
                Bson::Document(document) if document.is_empty() => Ok(Node::Random),
                Bson::Array(elements) if elements.is_empty() => Ok(Node::Random),
                _ => fail(3_040_501, "$rand does not currently accept arguments"),
            },
            "$meta" => match argument {
                // What a query of another kind would have; here there is none.
                Bson::String(kind)
                    if matches!(
                        kind.as_str(),
                        "randVal"
                            | "indexKey"
                            | "searchScore"
                            | "searchHighlights"
                            | "searchScoreDetails"
                            | "recordId"
                            | "sortKey"
                    ) =>
                {
                    Ok(Node::Missing)
                }
                _ => fail(
                    40218,
                    format!("query requires {argument} metadata, but it is not available"),
                ),
            },
            "$function" | "$accumulator" | "$where" => fail(
                31264,
                format!("{name} runs JavaScript, which this database does not"),
            ),
            _ => Err(unknown_operator(name)),
        }
    }

    fn boxed(&mut self, value: &Bson) -> Result<Box<Node>> {
        self.expression(value).map(Box::new)
    }

    /// Parses something in which variables are bound.
    fn with(&mut self, names: Vec<String>, value: &Bson) -> Result<Box<Node>> {
        self.frames.push(names);
        let node = self.boxed(value);
        self.frames.pop();
        node
    }

    fn cond(&mut self, argument: &Bson) -> Result<Node> {
        let nodes = match argument {
            Bson::Document(_) => {
                let parts = Arguments::new("$cond", argument, &["if", "then", "else"], 16020, 17083)?;
                let mut nodes = Vec::with_capacity(3);
                for (name, code) in [("if", 17080), ("then", 17081), ("else", 17082)] {
                    nodes.push(self.expression(parts.require(name, code)?)?);
                }
                nodes
            }
            _ => self.arguments(argument)?,
        };
        check_count("$cond", nodes.len(), 3, 3)?;
        let Ok([condition, then, otherwise]) = <[Node; 3]>::try_from(nodes) else {
            return Ok(Node::Missing);
        };
        Ok(match known_truth(&condition) {
            Some(true) => then,
            Some(false) => otherwise,
            None => Node::Switch(vec![(condition, then)], Some(Box::new(otherwise))),
        })
    }

    fn if_null(&mut self, argument: &Bson) -> Result<Node> {
        let nodes = self.arguments(argument)?;
        if nodes.len() < 2 {
            return fail(
                1_257_300,
                format!("$ifNull needs at least two arguments, had: {}", nodes.len()),
            );
        }
        self.fold(Node::IfNull(nodes))
    }

    fn switch(&mut self, argument: &Bson) -> Result<Node> {
        let parts = Arguments::new("$switch", argument, &["branches", "default"], 40060, 40067)?;
        let mut branches = Vec::new();
        match parts.get("branches") {
            None => {}
            Some(Bson::Array(elements)) => {
                let mut decided = false;
                for element in elements {
                    // Behind a branch that is always taken, nothing is evaluated.
                    self.unsure += usize::from(decided);
                    let branch = self.branch(element);
                    self.unsure -= usize::from(decided);
                    let branch = branch?;
                    decided |= known_truth(&branch.0) == Some(true);
                    branches.push(branch);
                }
            }
            Some(other) => {
                return fail(
                    40061,
                    format!(
                        "$switch expected an array for 'branches', found: {}",
                        type_name(other)
                    ),
                );
            }
        }
        let default = parts.get("default").map(|value| self.boxed(value)).transpose()?;
        if branches.is_empty() {
            return fail(40068, "$switch requires at least one branch.");
        }
        // What is false for every document goes; what is true for every document ends the list.
        let mut kept = Vec::with_capacity(branches.len());
        let mut default = default;
        for (condition, value) in branches {
            match known_truth(&condition) {
                Some(false) => {}
                Some(true) => {
                    default = Some(Box::new(value));
                    break;
                }
                None => kept.push((condition, value)),
            }
        }
        match default {
            None if kept.is_empty() => fail(
                40069,
                "One cannot execute a switch statement where all the cases evaluate to false without a default.",
            ),
            Some(default) if kept.is_empty() => Ok(*default),
            default => Ok(Node::Switch(kept, default)),
        }
    }

    fn branch(&mut self, element: &Bson) -> Result<(Node, Node)> {
        let parts = Arguments::new("$switch branch", element, &["case", "then"], 40062, 40063)?;
        let case = self.expression(parts.require("case", 40064)?)?;
        let then = self.expression(parts.require("then", 40065)?)?;
        Ok((case, then))
    }

    fn bind(&mut self, argument: &Bson) -> Result<Node> {
        let parts = Arguments::new("$let", argument, &["vars", "in"], 16874, 16875)?;
        let vars = parts.require("vars", 16876)?;
        let body = parts.require("in", 16877)?;
        let Bson::Document(vars) = vars else {
            return fail(
                10065,
                format!(
                    "invalid parameter: expected an object ($let.vars), found: {}",
                    type_name(vars)
                ),
            );
        };
        let mut names = Vec::with_capacity(vars.len());
        let mut values = Vec::with_capacity(vars.len());
        for (name, value) in vars {
            check_variable_name(name)?;
            values.push(self.expression(value)?);
            names.push(name.clone());
        }
        let body = self.with(names, body)?;
        Ok(if body.is_constant() {
            *body
        } else {
            Node::Let(values, body)
        })
    }

    fn map(&mut self, argument: &Bson) -> Result<Node> {
        let parts = Arguments::new("$map", argument, &["input", "as", "in"], 16878, 16879)?;
        let input = self.boxed(parts.require("input", 16880)?)?;
        let name = parts.variable("this")?;
        let body = self.with(vec![name], parts.require("in", 16882)?)?;
        Ok(Node::Map(input, body))
    }

    fn filter(&mut self, argument: &Bson) -> Result<Node> {
        let parts = Arguments::new(
            "$filter",
            argument,
            &["input", "as", "cond", "limit"],
            28646,
            28647,
        )?;
        let input = self.boxed(parts.require("input", 28648)?)?;
        let name = parts.variable("this")?;
        let condition = self.with(vec![name], parts.require("cond", 28650)?)?;
        let limit = parts.get("limit").map(|limit| self.boxed(limit)).transpose()?;
        Ok(Node::Filter {
            input,
            condition,
            limit,
        })
    }

    fn reduce(&mut self, argument: &Bson) -> Result<Node> {
        let parts = Arguments::new(
            "$reduce",
            argument,
            &["input", "initialValue", "in"],
            40075,
            40076,
        )?;
        let input = self.boxed(parts.require("input", 40077)?)?;
        let initial = self.boxed(parts.require("initialValue", 40078)?)?;
        let names = vec!["this".to_owned(), "value".to_owned()];
        let body = self.with(names, parts.require("in", 40079)?)?;
        Ok(Node::Reduce { input, initial, body })
    }

    fn zip(&mut self, argument: &Bson) -> Result<Node> {
        let parts = Arguments::new(
            "$zip",
            argument,
            &["inputs", "useLongestLength", "defaults"],
            34460,
            34464,
        )?;
        let inputs = match parts.get("inputs") {
            None => return fail(34465, "$zip requires at least one input array"),
            Some(Bson::Array(inputs)) if inputs.is_empty() => {
                return fail(34465, "$zip requires at least one input array");
            }
            Some(Bson::Array(inputs)) => inputs,
            Some(other) => {
                return fail(
                    34461,
                    format!(
                        "inputs must be an array of expressions, found {}",
                        type_name(other)
                    ),
                );
            }
        };
        let longest = match parts.get("useLongestLength") {
            None => false,
            Some(Bson::Boolean(longest)) => *longest,
            Some(other) => {
                return fail(
                    34463,
                    format!("useLongestLength must be a bool, found {}", type_name(other)),
                );
            }
        };
        let defaults = match parts.get("defaults") {
            None => &[][..],
            Some(Bson::Array(defaults)) => defaults,
            Some(other) => {
                return fail(
                    34462,
                    format!(
                        "defaults must be an array of expressions, found {}",
                        type_name(other)
                    ),
                );
            }
        };
        if !defaults.is_empty() && !longest {
            return fail(34466, "cannot specify defaults unless useLongestLength is true");
        }
        if !defaults.is_empty() && defaults.len() != inputs.len() {
            return fail(34467, "defaults and inputs must have the same length");
        }
        let inputs = Node::Array(self.list(inputs)?);
        let defaults = Node::Array(self.list(defaults)?);
        let (inputs, defaults) = (self.fold(inputs)?, self.fold(defaults)?);
        let longest = Node::Constant(Bson::Boolean(longest));
        self.fold(Node::Named(
            array::zip,
            vec![Some(inputs), Some(longest), Some(defaults)],
        ))
    }

    fn sort_array(&mut self, argument: &Bson) -> Result<Node> {
        let parts = Arguments::new("$sortArray", argument, &["input", "sortBy"], 2_942_500, 2_942_501)?;
        let input = self.boxed(parts.require("input", 2_942_502)?)?;
        let order = ElementOrder::parse(parts.require("sortBy", 2_942_503)?, "$sortArray")?;
        self.fold(Node::Sort(input, order))
    }

    fn search(&mut self, name: &'static str, wanted: Wanted, argument: &Bson) -> Result<Node> {
        let parts = Arguments::new(name, argument, &["input", "regex", "options"], 51103, 31024)?;
        let input = self.expression(parts.require("input", 31022)?)?;
        let pattern = self.expression(parts.require("regex", 31023)?)?;
        let options = parts
            .get("options")
            .map(|options| self.expression(options))
            .transpose()?;
        self.fold(Node::Search(Box::new(Search::new(
            wanted, input, pattern, options,
        )?)))
    }

    fn get_field(&mut self, argument: &Bson) -> Result<Node> {
        let (name, input) = match argument {
            Bson::Document(document) if document.contains_key("field") || document.contains_key("input") => {
                let parts = Arguments::new("$getField", argument, &["field", "input"], 3_041_701, 3_041_701)?;
                (
                    parts.require("field", 3_041_702)?,
                    Some(parts.require("input", 3_041_703)?),
                )
            }
            other => (other, None),
        };
        let name = self.expression(name)?;
        match (&name, input) {
            (Node::Constant(Bson::String(_)), _) => {}
            (Node::Constant(other), _) => {
                return fail(
                    5_654_602,
                    format!(
                        "$getField requires 'field' to evaluate to type String, but got {}",
                        type_name(other)
                    ),
                );
            }
            _ => {}
        }
        let input = match input {
            None => Node::Root,
            Some(input) => self.expression(input)?,
        };
        // A plain name of the document itself is a path, which lends.
        if let (Node::Constant(Bson::String(name)), Node::Root) = (&name, &input)
            && !name.contains('.')
            && let Ok(path) = FieldPath::parse(name)
        {
            return Ok(Node::Field(path));
        }
        Ok(Node::Named(object::get_field, vec![Some(name), Some(input)]))
    }

    fn unset_field(&mut self, argument: &Bson) -> Result<Node> {
        let parts = Arguments::new("$unsetField", argument, &["field", "input"], 4_161_100, 4_161_101)?;
        let name = self.expression(parts.require("field", 4_161_102)?)?;
        let input = self.expression(parts.require("input", 4_161_109)?)?;
        Ok(Node::Named(
            object::set_field,
            vec![Some(name), Some(input), Some(Node::Missing)],
        ))
    }
}

/// The nodes that depend on the document, or `None` where a constant decides: one that is `deciding`.
fn decided(nodes: Vec<Node>, deciding: bool) -> Option<Vec<Node>> {
    if nodes.iter().any(|node| known_truth(node) == Some(deciding)) {
        return None;
    }
    Some(
        nodes
            .into_iter()
            .filter(|node| known_truth(node).is_none())
            .collect(),
    )
}
