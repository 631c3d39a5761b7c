//! The grammar of rules: whatever is written is compiled or refused at a character of it, and what is compiled judges any
//! query and document without failing. A query that passes finds nothing that the rule keeps back.

use bson::{Bson, Document, doc};
use docdb::query::Filter;
use rules::{
    Caller, Documents, Operation, Request, RuleError, Rules, StorageRules, Subject, Verdict, WrittenData,
};

pub(crate) fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let expression = serde_json::json!({"read": text, "write": text});
    if let Ok(rules) = StorageRules::compile(&expression) {
        let _ = rules.judge(
            Operation::Update,
            &Caller::of_openid("alice"),
            "a/b.png",
            Some("alice"),
        );
    }
    let rules = match Rules::compile(&expression) {
        Ok(rules) => rules,
        Err(RuleError::Expression { at, why, .. }) => {
            assert!(
                at >= 1 && at <= text.chars().count().max(rules::MOST_CHARACTERS) + 1,
                "{at}: {why}"
            );
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let documents = Documents::new();
    let stored = [
        doc! {"_openid": "alice", "a": 1, "b": {"c": [1, "x"]}},
        doc! {"_openid": "bob", "a": [11, "x"], "b": Bson::Null},
        doc! {},
    ];
    let written = WrittenData::operators(&doc! {"$set": {"a": 1, "b.c": 2}, "$inc": {"d": 1}});
    for caller in [Caller::of_openid("alice"), Caller::default()] {
        let request = Request {
            caller: &caller,
            now: 1_700_000_000_000,
            data: Some(&written),
        };
        let holds = |document: &Document| {
            let judged = rules.judge(Operation::Read, Subject::Document(document), &request, &documents);
            matches!(judged, Verdict::Allowed(_))
        };
        for query in [
            doc! {},
            doc! {"_openid": "alice"},
            doc! {"a": {"$gt": 10}, "b.c": {"$in": [1, 2]}},
            doc! {"$or": [{"a": 1}, {"b": {"$ne": "x"}}]},
        ] {
            let Ok(filter) = Filter::parse(&query) else {
                continue;
            };
            let verdict = rules.judge(Operation::Update, Subject::Query(&filter), &request, &documents);
            if let Verdict::Allowed(guard) = verdict {
                let found = stored.iter().filter(|document| {
                    finds(&query, document) && finds(&guard.conditions().unwrap_or_default(), document)
                });
                for document in found {
                    assert!(
                        holds(document),
                        "{text} lets {query} through, which finds {document}"
                    );
                }
            }
        }
    }
}

fn finds(query: &Document, document: &Document) -> bool {
    let context = docdb::Context::new(bson::DateTime::from_millis(0), 1);
    let filter = Filter::parse(query);
    filter.is_ok_and(|filter| {
        filter
            .matches(document, &docdb::expr::Variables::default(), &context)
            .unwrap_or(false)
    })
}
