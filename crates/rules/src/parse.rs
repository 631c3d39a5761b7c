//! The grammar of rules.
//!
//! ```text
//! expr    := and ('||' and)*            and := not ('&&' not)*        not := '!' not | cmp
//! cmp     := sum (('==' | '===' | '!=' | '!==' | '>' | '>=' | '<' | '<=' | 'in') sum)?        sum := postfix ('+' postfix)*
//! postfix := primary ('.' name | '[' expr ']' | '(' expr ')')*
//! primary := number | 'text' | "text" | `template ${expr}` | /regex/ | true | false | null | undefined | '[' list ']' | '(' expr ')' | name
//! ```
//!
//! The platform publishes no grammar; this is read from its tables and examples. What is called is `get(path)`, or
//! `/regex/.test(text)` in rules of storage.

use bson::Bson;
use docdb::regex::Pattern;

use crate::expression::{Comparison, Expression, Part};

/// An expression has at most so many characters.
pub const MOST_CHARACTERS: usize = 1024;
/// An expression has at most so many `get()`.
const MOST_GETS: usize = 3;
/// A `get()` stands at most so deep in others.
const MOST_GETS_NESTED: usize = 2;
/// Brackets and negations stand at most so deep in others: a choice, far beyond what a person writes.
const MOST_NESTED: usize = 32;

/// Why rules cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// It is not an object of rules.
    #[error("{0}")]
    NotRules(String),
    /// An expression is wrong at a character, counted from 1.
    #[error("the rule {key:?} is wrong at character {at}: {why}")]
    Expression {
        /// The rule's key.
        key: &'static str,
        /// Counted from 1.
        at: usize,
        /// What is wrong, and the mend.
        why: String,
    },
}

/// Whose rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Database,
    Storage,
    Function,
}

/// What is wrong, at a byte.
#[derive(Debug)]
pub(crate) struct Fault {
    at: usize,
    why: String,
}

impl Fault {
    pub(crate) fn of(self, key: &'static str) -> RuleError {
        RuleError::Expression {
            key,
            at: self.at,
            why: self.why,
        }
    }
}

type Parsed<T> = Result<T, Fault>;

/// Parses an expression into the conditions that all have to hold.
pub(crate) fn parse(text: &str, language: Language) -> Parsed<Vec<Part>> {
    let characters = text.chars().count();
    let in_characters = |fault: Fault| Fault {
        at: text
            .get(..fault.at)
            .map_or(characters, |before| before.chars().count())
            + 1,
        ..fault
    };
    if characters > MOST_CHARACTERS {
        return Err(Fault {
            at: MOST_CHARACTERS + 1,
            why: format!("it has {characters} characters, and a rule has at most {MOST_CHARACTERS}"),
        });
    }
    Parser::new(text, language).whole().map_err(in_characters)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    language: Language,
    nested: usize,
    gets: usize,
    gets_around: usize,
}

impl<'a> Parser<'a> {
    const fn new(text: &'a str, language: Language) -> Self {
        Self {
            text,
            at: 0,
            language,
            nested: 0,
            gets: 0,
            gets_around: 0,
        }
    }

    fn whole(mut self) -> Parsed<Vec<Part>> {
        let mut parts = Vec::new();
        let whole = self.any(&mut Some(&mut parts))?;
        self.blanks();
        if self.at < self.text.len() {
            return self.fault("there is more than one expression: join them with && or ||");
        }
        if is_no_condition(&whole) {
            self.at = 0;
            return self.fault("this is a value, and neither true nor false: compare it with something, or write true or false");
        }
        Ok(match parts.len() {
            0 | 1 => vec![Part {
                at: 0..self.text.len(),
                expression: whole,
            }],
            _ => parts,
        })
    }

    /// `a || b`. Where it is `a && b` instead, `parts` takes each of them with its place.
    fn any(&mut self, parts: &mut Option<&mut Vec<Part>>) -> Parsed<Expression> {
        self.nested += 1;
        if self.nested > MOST_NESTED {
            return self.fault("it is nested too deeply");
        }
        let mut any = vec![self.all(parts)?];
        while self.takes("||") {
            if let Some(parts) = parts {
                parts.clear();
            }
            any.push(self.all(&mut None)?);
        }
        self.nested -= 1;
        Ok(one_or(any, Expression::Any))
    }

    fn all(&mut self, parts: &mut Option<&mut Vec<Part>>) -> Parsed<Expression> {
        let mut all = Vec::new();
        loop {
            self.blanks();
            let begin = self.at;
            let expression = self.not()?;
            if let Some(parts) = parts {
                let end = self.text[..self.at].trim_end().len();
                parts.push(Part {
                    at: begin..end,
                    expression: expression.clone(),
                });
            }
            all.push(expression);
            if !self.takes("&&") {
                return Ok(one_or(all, Expression::All));
            }
        }
    }

    fn not(&mut self) -> Parsed<Expression> {
        let mut negations = 0;
        while !self.is_next("!=") && self.takes("!") {
            negations += 1;
        }
        let mut expression = self.comparison()?;
        for _ in 0..negations % 2 {
            expression = Expression::Not(Box::new(expression));
        }
        // `!!x` is whether x is true at all.
        if negations > 0 && negations % 2 == 0 {
            expression = Expression::Not(Box::new(Expression::Not(Box::new(expression))));
        }
        Ok(expression)
    }

    fn comparison(&mut self) -> Parsed<Expression> {
        const OPERATORS: [(&str, Comparison); 8] = [
            ("===", Comparison::Equal),
            ("!==", Comparison::Unequal),
            ("==", Comparison::Equal),
            ("!=", Comparison::Unequal),
            (">=", Comparison::GreaterOrEqual),
            ("<=", Comparison::LessOrEqual),
            (">", Comparison::Greater),
            ("<", Comparison::Less),
        ];
        let left = self.sum()?;
        let found = OPERATORS.into_iter().find(|(sign, _)| self.takes(sign));
        let comparison = match found {
            Some((_, comparison)) => comparison,
            None if self.takes_word("in") => Comparison::In,
            None if self.is_next("=") => {
                return self.fault("`=` compares nothing: write ==");
            }
            None => return Ok(left),
        };
        let right = self.sum()?;
        Ok(Expression::Compare(comparison, Box::new(left), Box::new(right)))
    }

    fn sum(&mut self) -> Parsed<Expression> {
        let mut sum = vec![self.postfix()?];
        while self.takes("+") {
            sum.push(self.postfix()?);
        }
        Ok(one_or(sum, Expression::Sum))
    }

    fn postfix(&mut self) -> Parsed<Expression> {
        self.blanks();
        let begin = self.at;
        if self.takes_word("get") {
            return self.get(begin).and_then(|got| self.members(got));
        }
        if self.is_next("/") {
            return self.pattern();
        }
        let primary = self.primary()?;
        self.members(primary)
    }

    fn members(&mut self, mut of: Expression) -> Parsed<Expression> {
        loop {
            if self.takes(".") {
                let Some(name) = self.name() else {
                    return self.fault("after `.` stands the name of a field");
                };
                self.member_is_known(&of, name)?;
                of = Expression::Member(Box::new(of), name.to_owned());
            } else if self.takes("[") {
                let key = self.any(&mut None)?;
                self.expects("]")?;
                of = Expression::Index(Box::new(of), Box::new(key));
            } else if self.is_next("(") {
                return self.fault(match self.language {
                    Language::Database => "only get() can be called",
                    Language::Storage => "only /regex/.test() can be called",
                    Language::Function => "nothing can be called",
                });
            } else {
                return Ok(of);
            }
        }
    }

    /// What `auth`, `request` and `resource` have is known.
    fn member_is_known(&mut self, of: &Expression, name: &str) -> Parsed<()> {
        let known: &[&str] = match of {
            Expression::Auth => &["openid", "uid", "loginType"],
            Expression::Request => &["data"],
            Expression::Resource => &["openid", "path"],
            _ => return Ok(()),
        };
        if known.contains(&name) {
            return Ok(());
        }
        self.fault(&format!(
            "there is no {name:?} in it: there is {}",
            known.join(", ")
        ))
    }

    /// Behind `get`.
    fn get(&mut self, begin: usize) -> Parsed<Expression> {
        if self.language != Language::Database {
            self.at = begin;
            return self.fault("only rules of collections have get()");
        }
        self.expects("(")?;
        self.gets += 1;
        self.gets_around += 1;
        if self.gets > MOST_GETS {
            return self.fault(&format!("a rule has at most {MOST_GETS} get()"));
        }
        if self.gets_around > MOST_GETS_NESTED {
            return self.fault(&format!("get() stands in get() at most {MOST_GETS_NESTED} deep"));
        }
        self.blanks();
        let path_at = self.at;
        let path = self.any(&mut None)?;
        self.gets_around -= 1;
        if !may_name_document(&path) {
            self.at = path_at;
            return self.fault("get() reads one document: get('database.COLLECTION.ID')");
        }
        self.expects(")")?;
        Ok(Expression::Get(Box::new(path)))
    }

    /// `/regex/flags.test(text)`
    fn pattern(&mut self) -> Parsed<Expression> {
        let begin = self.at;
        if self.language != Language::Storage {
            return self.fault("only rules of storage have regular expressions");
        }
        self.at += 1;
        let mut escaped = false;
        let mut class = false;
        let source = self.rest().char_indices().find_map(|(at, character)| {
            let ends = character == '/' && !escaped && !class;
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '[' => class = true,
                ']' => class = false,
                _ => {}
            }
            ends.then_some(at)
        });
        let Some(length) = source else {
            return self.fault("the regular expression has no end: close it with /");
        };
        let source = &self.rest()[..length];
        self.at += length + 1;
        let flags = self.name_here().unwrap_or_default();
        let pattern = Pattern::new(source, flags).map_err(|error| Fault {
            at: begin,
            why: error.to_string(),
        })?;
        if !(self.takes(".") && self.takes_word("test") && self.takes("(")) {
            return self.fault("a regular expression is used as /regex/.test(resource.path)");
        }
        let text = self.any(&mut None)?;
        self.expects(")")?;
        Ok(Expression::Matches(Box::new(pattern), Box::new(text)))
    }

    fn primary(&mut self) -> Parsed<Expression> {
        self.blanks();
        let Some(first) = self.rest().chars().next() else {
            return self.fault("it ends where a value should stand");
        };
        match first {
            '\'' | '"' => Ok(Expression::Constant(Bson::String(self.quoted(first)?))),
            '`' => self.template(),
            '(' => {
                self.at += 1;
                let inner = self.any(&mut None)?;
                self.expects(")")?;
                Ok(inner)
            }
            '[' => {
                self.at += 1;
                let mut list = Vec::new();
                if !self.takes("]") {
                    loop {
                        list.push(self.any(&mut None)?);
                        if self.takes("]") {
                            break;
                        }
                        self.expects(",")?;
                    }
                }
                Ok(Expression::List(list))
            }
            '0'..='9' | '-' => self.number(),
            _ => self.named(),
        }
    }

    fn named(&mut self) -> Parsed<Expression> {
        let begin = self.at;
        let Some(name) = self.name() else {
            return self.fault("here should stand a value: a name, a number or a text");
        };
        let database = self.language == Language::Database;
        Ok(match name {
            "true" => Expression::Constant(Bson::Boolean(true)),
            "false" => Expression::Constant(Bson::Boolean(false)),
            "null" => Expression::Constant(Bson::Null),
            "undefined" => Expression::Constant(Bson::Undefined),
            "auth" => Expression::Auth,
            "doc" if database => Expression::Doc,
            "request" if database => Expression::Request,
            "now" if database => Expression::Now,
            "resource" if self.language == Language::Storage => Expression::Resource,
            name => {
                self.at = begin;
                let names = match self.language {
                    Language::Database => "auth, doc, request, now and get()",
                    Language::Storage => "auth and resource",
                    Language::Function => "auth",
                };
                return self.fault(&format!("there is no {name:?} in rules: there is {names}"));
            }
        })
    }

    fn number(&mut self) -> Parsed<Expression> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with('-'));
        let length = rest[sign..]
            .find(|character: char| !(character.is_ascii_alphanumeric() || character == '.'))
            .map_or(rest.len(), |length| length + sign);
        let text = &rest[..length];
        let value = match text.parse::<i64>() {
            Ok(number) => Bson::Int64(number),
            Err(_) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Bson::Double(number),
                _ => return self.fault(&format!("{text:?} is not a number")),
            },
        };
        self.at += length;
        Ok(Expression::Constant(value))
    }

    fn quoted(&mut self, quote: char) -> Parsed<String> {
        let mut text = String::new();
        self.at += 1;
        loop {
            match self.character() {
                None => return self.fault("the text has no end: close its quotes"),
                Some(character) if character == quote => return Ok(text),
                Some('\\') => text.push(self.escaped()?),
                Some(character) => text.push(character),
            }
        }
    }

    fn template(&mut self) -> Parsed<Expression> {
        let mut parts = Vec::new();
        let mut text = String::new();
        self.at += 1;
        loop {
            match self.character() {
                None => return self.fault("the template has no end: close it with `"),
                Some('`') => {
                    parts.push(Expression::Constant(Bson::String(text)));
                    return Ok(Expression::Template(parts));
                }
                Some('$') if self.rest().starts_with('{') => {
                    self.at += 1;
                    parts.push(Expression::Constant(Bson::String(std::mem::take(&mut text))));
                    parts.push(self.any(&mut None)?);
                    self.expects("}")?;
                }
                Some('\\') => text.push(self.escaped()?),
                Some(character) => text.push(character),
            }
        }
    }

    /// Behind a backslash.
    fn escaped(&mut self) -> Parsed<char> {
        match self.character() {
            Some('n') => Ok('\n'),
            Some('t') => Ok('\t'),
            Some(character) if !character.is_ascii_alphanumeric() => Ok(character),
            _ => self.fault("this escape is not known"),
        }
    }

    fn character(&mut self) -> Option<char> {
        let character = self.rest().chars().next()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn name(&mut self) -> Option<&'a str> {
        self.blanks();
        self.name_here()
    }

    fn name_here(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let length = rest
            .find(|character: char| !(character.is_alphanumeric() || matches!(character, '_' | '$')))
            .unwrap_or(rest.len());
        let name = &rest[..length];
        if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        self.at += length;
        Some(name)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn is_next(&mut self, sign: &str) -> bool {
        self.blanks();
        self.rest().starts_with(sign)
    }

    fn takes(&mut self, sign: &str) -> bool {
        let next = self.is_next(sign);
        if next {
            self.at += sign.len();
        }
        next
    }

    /// Takes a word that ends here.
    fn takes_word(&mut self, word: &str) -> bool {
        self.blanks();
        let begin = self.at;
        if self.name_here() == Some(word) {
            return true;
        }
        self.at = begin;
        false
    }

    fn expects(&mut self, sign: &str) -> Parsed<()> {
        match self.takes(sign) {
            true => Ok(()),
            false => self.fault(&format!("here should stand {sign}")),
        }
    }

    fn fault<T>(&self, why: &str) -> Parsed<T> {
        Err(Fault {
            at: self.at,
            why: why.to_owned(),
        })
    }
}

/// Whether an expression is never true or false.
const fn is_no_condition(expression: &Expression) -> bool {
    match expression {
        Expression::Constant(value) => !matches!(value, Bson::Boolean(_)),
        Expression::Template(_) | Expression::List(_) | Expression::Sum(_) => true,
        _ => false,
    }
}

/// Whether a path may be that of a document; of what is computed only the beginning is known.
fn may_name_document(path: &Expression) -> bool {
    match path {
        Expression::Constant(Bson::String(path)) => {
            let parts: Vec<_> = path.split('.').collect();
            parts.len() >= 3
                && parts.first() == Some(&"database")
                && parts.iter().all(|part| !part.is_empty())
        }
        Expression::Constant(_) => false,
        Expression::Template(parts) | Expression::Sum(parts) => match parts.first() {
            Some(Expression::Constant(Bson::String(begin))) => begin.starts_with("database."),
            _ => true,
        },
        _ => true,
    }
}

/// The only one, or all of them joined.
fn one_or(mut parts: Vec<Expression>, join: impl FnOnce(Vec<Expression>) -> Expression) -> Expression {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => join(parts.into_iter().chain(last).collect()),
    }
}
