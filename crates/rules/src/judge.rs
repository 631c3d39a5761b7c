//! A request, judged by a rule.

use std::collections::HashMap;

use bson::{Bson, Document, doc};
use docdb::query::{Filter, Node};

use crate::{
    Caller, Denial, Operation, Rule, Rules, StorageRules, WrittenData,
    expression::Part,
    formula::{Atom, Condition, Formula},
    proof::{MOST_AT_ONCE, MOST_LOOKED_AT, Proof, excludes},
    query::facts,
    reduce::{Known, Reducer},
    set::Ordered,
};

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `auth`
    pub caller: &'a Caller,
    /// `now`, in milliseconds since 1970.
    pub now: i64,
    /// `request.data`: what is created, or what an update sets.
    pub data: Option<&'a WrittenData>,
}

/// What the request is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// All documents that a query finds, with the caller's identity [in it](crate::with_identity).
    Query(&'a Filter),
    /// One document, which is known.
    Document(&'a Document),
}

/// A document that a rule names by `get('database.COLLECTION.ID')`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DocumentRef {
    /// Its collection.
    pub collection: String,
    /// Its `_id`.
    pub id: String,
}

impl DocumentRef {
    /// Reads `database.COLLECTION.ID`.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        let (collection, id) = path.strip_prefix("database.")?.split_once('.')?;
        let named = !collection.is_empty() && !id.is_empty();
        named.then(|| Self {
            collection: collection.to_owned(),
            id: id.to_owned(),
        })
    }
}

/// Documents that were fetched for rules; `None` for one that is not there.
pub type Documents = HashMap<DocumentRef, Option<Document>>;

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The client may, if the [`Guard`] stands beside its query.
    Allowed(Guard),
    /// The client may not.
    Denied(Box<Denial>),
    /// Nothing can be said before these documents are known.
    Wanted(Vec<DocumentRef>),
}

/// What a query needs beside it, to find nothing but what it was judged by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guard {
    /// Fields whose one value was taken from the query: nothing was judged of one that is a list.
    scalars: Vec<String>,
    /// Fields by whose one value a part of the rule was proved, and that part as a query, which lists are held to instead.
    proved: Vec<(Vec<String>, Document)>,
    rule: Option<Document>,
}

impl Guard {
    /// Conditions to ask for beside the query; `None` where there are none. Every document that the rule lets through meets them, but where
    /// a field is a list whose one value was taken from the query to know the rule by.
    #[must_use]
    pub fn conditions(&self) -> Option<Document> {
        let mut all = Vec::new();
        if !self.scalars.is_empty() {
            all.push(no_lists(&self.scalars));
        }
        for (scalars, part) in &self.proved {
            all.push(doc! {"$or": [no_lists(scalars), part.clone()]});
        }
        match all.len() {
            0 | 1 => all.pop(),
            _ => Some(doc! {"$and": all}),
        }
    }

    /// The rule as a query, as far as it was known. It is asked before a query that may fail at a document, or else its failing would
    /// tell of a document that the rule keeps from the caller; and of a document that was judged as it stood.
    #[must_use]
    pub fn rule(&self) -> Option<&Document> {
        self.rule.as_ref()
    }
}

/// That no list is at any of these paths, nor on the way there.
fn no_lists(paths: &[String]) -> Document {
    let mut lists = Vec::new();
    for path in paths {
        let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let above = path.get(..end).unwrap_or_default();
            let list = doc! {above: {"$type": "array"}};
            if !lists.contains(&list) {
                lists.push(list);
            }
        }
    }
    doc! {"$nor": lists}
}

impl Rules {
    /// Judges a request. What it asks for is looked for in `documents`. What anybody may ask for is judged within a millisecond or so
    /// and else refused; other queries may take some tens of milliseconds, which is not for a thread that serves.
    #[must_use]
    pub fn judge(
        &self,
        operation: Operation,
        subject: Subject<'_>,
        request: &Request<'_>,
        documents: &Documents,
    ) -> Verdict {
        let most = match request.caller.is_anybody() {
            true => MOST_AT_ONCE,
            false => MOST_LOOKED_AT,
        };
        self.judge_within(most, operation, subject, request, documents).0
    }

    /// The same within a millisecond or so; `None` where it takes longer.
    #[must_use]
    pub fn judge_at_once(
        &self,
        operation: Operation,
        subject: Subject<'_>,
        request: &Request<'_>,
        documents: &Documents,
    ) -> Option<Verdict> {
        let (verdict, given_up) = self.judge_within(MOST_AT_ONCE, operation, subject, request, documents);
        (!given_up || request.caller.is_anybody()).then_some(verdict)
    }

    fn judge_within(
        &self,
        most: usize,
        operation: Operation,
        subject: Subject<'_>,
        request: &Request<'_>,
        documents: &Documents,
    ) -> (Verdict, bool) {
        let rule = self.rule(operation);
        let keeps_rule = match subject {
            Subject::Query(filter) => has_expression(filter.root()),
            // It may be another by the time at which it is read or written.
            Subject::Document(_) => true,
        };
        let facts = match subject {
            Subject::Query(filter) => facts(filter),
            Subject::Document(_) => Formula::True,
        };
        let known = match subject {
            Subject::Query(_) => Known::Facts(&facts),
            Subject::Document(document) => Known::Document(document),
        };
        let reducer = Reducer {
            is_created: operation == Operation::Create,
            ..Reducer::new(request, known, None, documents)
        };
        rule.judge(most, operation, reducer, keeps_rule)
    }
}

impl StorageRules {
    /// Judges what is to be done with a file: its path, and the openid or uid of whoever it belongs to.
    ///
    /// # Errors
    /// Why the caller may not.
    pub fn judge(
        &self,
        operation: Operation,
        caller: &Caller,
        path: &str,
        owner: Option<&str>,
    ) -> Result<(), Box<Denial>> {
        let rule = match operation {
            Operation::Read => &self.read,
            Operation::Create | Operation::Update | Operation::Delete => &self.write,
        };
        let owner = owner
            .filter(|owner| !owner.is_empty())
            .map_or(Bson::Null, Bson::from);
        let resource = doc! {"openid": owner, "path": path};
        rule.judge_caller(operation.name(), caller, Some(&resource))
    }
}

/// A part of a rule that does not hold.
struct UnmetPart<'a> {
    part: &'a Part,
    /// What is left of it, for what is known.
    formula: Formula,
    /// Whether it was given up.
    too_many: bool,
}

impl Rule {
    /// Judges a rule for which no document is read: it is about who asks, and of storage about a file.
    ///
    /// # Errors
    /// Why the caller may not.
    pub(crate) fn judge_caller(
        &self,
        operation: &'static str,
        caller: &Caller,
        resource: Option<&Document>,
    ) -> Result<(), Box<Denial>> {
        let request = Request {
            caller,
            now: 0,
            data: None,
        };
        let documents = Documents::new();
        let mut reducer = Reducer::new(&request, Known::Nothing, resource, &documents);
        match self.first_unmet(MOST_AT_ONCE, &mut reducer, &mut Guard::default()) {
            None => Ok(()),
            Some(unmet) => Err(self.denial(operation, &unmet, &mut reducer)),
        }
    }

    /// Judges with so much that is looked at for a proof, and says whether that was not enough.
    fn judge<'a>(
        &'a self,
        most: usize,
        operation: Operation,
        mut reducer: Reducer<'a>,
        keeps_rule: bool,
    ) -> (Verdict, bool) {
        let mut guard = Guard::default();
        let Some(unmet) = self.first_unmet(most, &mut reducer, &mut guard) else {
            guard.scalars.append(&mut reducer.pinned);
            if keeps_rule {
                let parts = self
                    .parts
                    .iter()
                    .map(|part| reducer.reduce(&part.expression, true));
                guard.rule = match Formula::all(parts) {
                    Formula::True => None,
                    formula => Some(formula.to_query()),
                };
            }
            return (Verdict::Allowed(guard), false);
        };
        if !reducer.wanted.is_empty() {
            return (Verdict::Wanted(reducer.wanted), false);
        }
        let denial = self.denial(operation.name(), &unmet, &mut reducer);
        (Verdict::Denied(denial), unmet.too_many)
    }

    /// The first part that does not hold. What the proof counted with is added to `guard`.
    fn first_unmet<'a>(
        &'a self,
        most: usize,
        reducer: &mut Reducer<'a>,
        guard: &mut Guard,
    ) -> Option<UnmetPart<'a>> {
        let mut left = most;
        for part in &self.parts {
            let mut too_many = false;
            let formula = match reducer.known {
                Known::Facts(facts) => {
                    let negated = reducer.reduce(&part.expression, false);
                    match excludes(facts, &negated, &mut left) {
                        Proof::Done(scalars) => {
                            if !scalars.is_empty() {
                                let part = reducer.reduce(&part.expression, true);
                                guard.proved.push((scalars, part.to_query()));
                            }
                            continue;
                        }
                        proof => too_many = proof == Proof::TooMany,
                    }
                    reducer.reduce(&part.expression, true)
                }
                Known::Document(document) => match reducer.reduce(&part.expression, true) {
                    formula if formula.holds_for(document) => continue,
                    formula => formula,
                },
                Known::Nothing => match reducer.reduce(&part.expression, true) {
                    Formula::True => continue,
                    formula => formula,
                },
            };
            return Some(UnmetPart {
                part,
                formula,
                too_many,
            });
        }
        None
    }

    /// Why a request is refused, for the developer.
    fn denial<'a>(
        &'a self,
        operation: &'static str,
        unmet: &UnmetPart<'a>,
        reducer: &mut Reducer<'a>,
    ) -> Box<Denial> {
        let is_query = matches!(reducer.known, Known::Facts(_));
        let mend = is_query
            .then(|| self.where_that_passes(reducer))
            .flatten()
            .map(|query| format!("where({query}) would pass"));
        let why = if unmet.too_many {
            "the query has too many cases to tell whether all it finds is let through: ask for less at once"
                .to_owned()
        } else if unmet.formula == Formula::False {
            "it is false for this caller".to_owned()
        } else if let (true, Some(path)) = (is_query, &reducer.unpinned) {
            format!("the query must give doc.{path} one value, plainly or by _.eq")
        } else if is_query {
            "the query does not make sure of this for everything it can find".to_owned()
        } else {
            "this document does not meet it".to_owned()
        };
        Box::new(Denial {
            operation,
            rule: format!("the rule {:?}: {:?}", self.key, self.text),
            part: match self.parts.len() {
                1 => String::new(),
                _ => self
                    .text
                    .get(unmet.part.at.clone())
                    .unwrap_or_default()
                    .to_owned(),
            },
            why,
            mend,
        })
    }

    /// A query within the rule, as a program writes it.
    fn where_that_passes<'a>(&'a self, reducer: &mut Reducer<'a>) -> Option<String> {
        let mut fields = Vec::new();
        for part in &self.parts {
            let formula = reducer.reduce(&part.expression, true);
            narrow(&formula, reducer.request.caller, &mut fields)?;
        }
        (!fields.is_empty()).then(|| format!("{{{}}}", fields.join(", ")))
    }
}

/// Whether a query may fail at a document.
fn has_expression(node: &Node) -> bool {
    match node {
        Node::And(nodes) | Node::Or(nodes) | Node::Nor(nodes) => nodes.iter().any(has_expression),
        Node::Expression(_) => true,
        Node::Field(..) | Node::Constant(_) => false,
    }
}

/// Fields of a query that is within the formula: of cases, the first.
fn narrow(formula: &Formula, caller: &Caller, fields: &mut Vec<String>) -> Option<()> {
    match formula {
        Formula::True => {}
        Formula::False | Formula::Unknown => return None,
        Formula::Atom(atom) => {
            let field = written(atom, caller);
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        Formula::All(parts) => {
            for part in parts {
                narrow(part, caller, fields)?;
            }
        }
        Formula::Any(cases) => {
            let found = cases.iter().find_map(|case| {
                let mut fields = Vec::new();
                narrow(case, caller, &mut fields).map(|()| fields)
            })?;
            fields.extend(found);
        }
    }
    Some(())
}

fn written(atom: &Atom, caller: &Caller) -> String {
    let value = |value: &Bson| match value {
        Bson::String(text) if caller.openid.as_ref() == Some(text) => "'{openid}'".to_owned(),
        Bson::String(text) if caller.uid.as_ref() == Some(text) => "'{uid}'".to_owned(),
        // As a program writes it.
        Bson::Int64(number) => number.to_string(),
        value => ejson::shell::to_line(value),
    };
    let path = match atom.path.contains('.') || !atom.path.is_ascii() {
        true => format!("'{}'", atom.path),
        false => atom.path.clone(),
    };
    let condition = match (&atom.condition, atom.holds) {
        (Condition::Equal(wanted), true) => value(wanted),
        (Condition::Equal(other), false) => format!("_.neq({})", value(other)),
        (Condition::In(values), holds) => {
            let list: Vec<String> = values.iter().map(value).collect();
            format!("_.{}([{}])", if holds { "in" } else { "nin" }, list.join(", "))
        }
        (
            Condition::Order {
                ordered,
                value: bound,
                ..
            },
            holds,
        ) => {
            let command = match (ordered, holds) {
                (Ordered::Greater, true) | (Ordered::LessOrEqual, false) => "gt",
                (Ordered::GreaterOrEqual, true) | (Ordered::Less, false) => "gte",
                (Ordered::Less, true) | (Ordered::GreaterOrEqual, false) => "lt",
                (Ordered::LessOrEqual, true) | (Ordered::Greater, false) => "lte",
            };
            format!("_.{command}({})", value(bound))
        }
    };
    format!("{path}: {condition}")
}
