//! Stages that make one document of each, or none, in one loop: however many they are, they take no more of the stack than
//! one.

use bson::Document;

use super::{Documents, Environment, Stage, reshape};
use crate::error::Result;

/// The documents that get through some steps.
pub(super) struct Steps<'a> {
    input: Documents<'a>,
    steps: &'a [Stage],
    /// How many documents each `$limit` and `$skip` has met.
    met: Vec<u64>,
    environment: Environment<'a>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(input: Documents<'a>, steps: &'a [Stage], environment: Environment<'a>) -> Self {
        Self {
            input,
            steps,
            met: vec![0; steps.len()],
            environment,
        }
    }

    /// Takes a document through the steps; `None` where one of them leaves it out.
    fn pass(&mut self, mut document: Document) -> Result<Option<Document>> {
        let Environment {
            context, variables, ..
        } = self.environment;
        for (step, met) in self.steps.iter().zip(&mut self.met) {
            match step {
                Stage::Match(filter) if !filter.matches(&document, variables, context)? => return Ok(None),
                Stage::Project(projection) => document = projection.apply(document, variables, context)?,
                Stage::AddFields(fields) => document = fields.apply(document, variables, context)?,
                Stage::ReplaceRoot(expression, operator) => {
                    document = reshape::replace_root(expression, operator, &document, variables, context)?;
                }
                Stage::Redact(expression) => {
                    match reshape::redact(expression, document, variables, context, 0)? {
                        Some(kept) => document = kept,
                        None => return Ok(None),
                    }
                }
                Stage::Limit(_) => *met += 1,
                Stage::Skip(count) if *met < *count => {
                    *met += 1;
                    return Ok(None);
                }
                _ => {}
            }
        }
        Ok(Some(document))
    }

    /// If a `$limit` has let through all that it lets through: nothing more need be read.
    fn is_full(&self) -> bool {
        self.steps
            .iter()
            .zip(&self.met)
            .any(|(step, met)| matches!(step, Stage::Limit(count) if *met >= *count))
    }
}

impl Iterator for Steps<'_> {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_full() {
            let passed = self.input.next()?.and_then(|document| self.pass(document));
            if let Some(passed) = passed.transpose() {
                return Some(passed);
            }
        }
        None
    }
}
