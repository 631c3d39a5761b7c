//! A query, an update, and documents, a line each: the update ends, keeps `_id`, and says truly if it changed something. An update by
//! a pipeline stands as `{pipeline: […]}`.

use bson::{Bson, DateTime, Document};
use docdb::{Context, expr::Variables, query::Filter, update::Update};

pub(crate) fn target(data: &[u8]) {
    let lines = crate::ejson::lines(data);
    let [query, update, documents @ ..] = lines.as_slice() else {
        return;
    };
    let Ok(filter) = Filter::parse(query) else { return };
    // The query may say what `$[e]` stands for.
    let array_filters: Vec<Document> = if update.to_string().contains("$[e]") {
        vec![bson::doc! {"e": {"$gte": 1}}]
    } else {
        Vec::new()
    };
    let parsed = match update.get_array("pipeline") {
        Ok(stages) => {
            let stages = stages.iter().filter_map(Bson::as_document).cloned();
            Update::parse_pipeline(&stages.collect::<Vec<_>>(), &[])
        }
        Err(_) => Update::parse(update, &array_filters),
    };
    let Ok(parsed) = parsed else { return };
    let context = Context::new(DateTime::from_millis(0), 1);
    let repeatable = update.keys().all(|name| {
        matches!(
            name.as_str(),
            "$set" | "$unset" | "$min" | "$max" | "$addToSet" | "$pullAll"
        )
    }) || parsed.is_replacement();
    for document in documents {
        let Ok(Some(element)) = filter.find_element(document, &Variables::none(), &context) else {
            continue;
        };
        let Ok(Some(updated)) = parsed.apply(document, element, &context) else {
            continue;
        };
        assert_ne!(updated.to_string(), document.to_string(), "{update}");
        assert_eq!(
            document.contains_key("_id").then(|| document.get("_id")),
            document.contains_key("_id").then(|| updated.get("_id"))
        );
        if repeatable && let Ok(Some(again)) = parsed.apply(&updated, element, &context) {
            panic!("{update} changes {updated} again, to {again}");
        }
    }
    let _ = parsed.upsert(&filter, &context);
}
