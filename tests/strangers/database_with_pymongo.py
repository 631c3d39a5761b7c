"""A backend of somebody else's on our database, by pymongo: what it relies on, one check after the other."""

import datetime
import os
import threading

from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from pymongo import (
    ASCENDING,
    DESCENDING,
    DeleteMany,
    DeleteOne,
    InsertOne,
    MongoClient,
    ReplaceOne,
    ReturnDocument,
    UpdateMany,
    UpdateOne,
)
from pymongo.errors import (
    BulkWriteError,
    CursorNotFound,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    ServerSelectionTimeoutError,
)
from pymongo.write_concern import WriteConcern

URL = os.environ["YUNQIAO_DATABASE_URL"]
client = MongoClient(URL, serverSelectionTimeoutMS=20000)
db = client.get_default_database()


def raises(kind, deed, code=None, text=""):
    try:
        deed()
    except kind as error:
        assert code is None or error.code == code, (error.code, error)
        assert text in str(error), error
        return error
    raise AssertionError(f"no {kind.__name__}")


def documents_of_every_type():
    values = db.types
    document = {
        "_id": ObjectId(),
        "text": "云桥 \U0001f600 \x00 ok",
        "int": 1,
        "long": Int64(2**53 + 1),
        "double": -0.5,
        "decimal": Decimal128("12345678901234567890.123456789"),
        "date": datetime.datetime(1969, 12, 31, 23, 59, 59, 999000),
        "bytes": b"\x00\x01",
        "uuid": Binary(bytes(range(16)), 4),
        "regex": Regex("^a.*b$", "i"),
        "code": Code("function () {}"),
        "timestamp": Timestamp(7, 8),
        "min": MinKey(),
        "max": MaxKey(),
        "none": None,
        "yes": True,
        "nested": {"z": 1, "a": [1, [2, {"b": 3}], {}], "m": {}},
    }
    values.insert_one(document)
    found = values.find_one({"_id": document["_id"]})
    assert found == document, found
    assert list(found) == list(document), "the order of fields"
    assert list(found["nested"]) == ["z", "a", "m"]
    assert isinstance(found["long"], Int64) and type(found["int"]) is int
    for field in ("decimal", "date", "long", "text"):
        assert values.count_documents({field: document[field]}) == 1, field


def reading():
    things = db.things
    things.insert_many([{"_id": n, "n": n % 7, "tags": [n % 3, "t"]} for n in range(100)])
    assert [d["_id"] for d in things.find({"n": {"$gte": 5}}).sort("_id", -1).skip(2).limit(3)] == [90, 89, 83]
    assert things.find_one({"_id": 5}, {"n": 1, "_id": 0}) == {"n": 5}
    assert things.count_documents({"n": 3}) == 14
    assert things.estimated_document_count() == 100
    assert sorted(things.distinct("n")) == list(range(7))
    assert set(map(str, things.distinct("tags", {"n": {"$lt": 2}}))) == {"0", "1", "2", "t"}
    assert list(things.find({"_id": {"$in": [3, 4]}}, sort=[("n", DESCENDING)]))[0]["_id"] == 4
    groups = things.aggregate(
        [{"$match": {"n": {"$lt": 2}}}, {"$group": {"_id": "$n", "all": {"$sum": "$_id"}}}, {"$sort": {"_id": 1}}]
    )
    assert list(groups) == [{"_id": 0, "all": sum(range(0, 100, 7))}, {"_id": 1, "all": sum(range(1, 100, 7))}]
    joined = things.aggregate(
        [
            {"$match": {"_id": 1}},
            {"$lookup": {"from": "things", "localField": "n", "foreignField": "_id", "as": "same"}},
            {"$unwind": "$same"},
        ]
    )
    assert [d["same"]["_id"] for d in joined] == [1]
    assert list(db.no_such.find()) == [] and db.no_such.count_documents({}) == 0
    assert list(db.no_such.aggregate([{"$group": {"_id": None}}])) == []
    assert "no_such" not in db.list_collection_names()
    assert things.find({"_id": 7}).explain()["queryPlanner"]["winningPlan"]["stage"] == "FETCH"
    raises(OperationFailure, lambda: things.find_one({"n": {"$gtt": 1}}), 2)
    raises(OperationFailure, lambda: things.find_one({"$bad": 1}), 2)
    raises(OperationFailure, lambda: list(things.find({}, {"a": 1, "b": 0})), 31254)
    raises(OperationFailure, lambda: list(things.aggregate([{"$nope": 1}])), 40324)
    raises(OperationFailure, lambda: list(things.find(collation={"locale": "fr"})), text="collation")
    raises(OperationFailure, lambda: db.command("find", "things", nonsense=1), 40415)
    raises(OperationFailure, lambda: db.command("nonsense"), 59)


def cursors_over_batches():
    many = db.many
    many.insert_many({"_id": n, "pad": "x" * 100} for n in range(5000))
    assert [d["_id"] for d in many.find()] == list(range(5000))
    assert [d["_id"] for d in many.find(batch_size=7).limit(50)] == list(range(50))
    assert [d["_id"] for d in many.find({"_id": {"$gte": 100}}, batch_size=1000).skip(5)] == list(range(105, 5000))
    assert [d["_id"] for d in many.find().sort("_id", -1)] == list(range(4999, -1, -1))
    assert len(list(many.aggregate([{"$match": {}}], batchSize=10))) == 5000
    assert len(list(many.find().skip(4990))) == 10
    cursor = many.find(batch_size=2)
    next(cursor)
    assert isinstance(cursor.cursor_id, int) and cursor.cursor_id
    killed = db.command("killCursors", "many", cursors=[Int64(cursor.cursor_id), Int64(1)])
    assert killed["cursorsKilled"] == [cursor.cursor_id] and killed["cursorsNotFound"] == [1]
    raises(CursorNotFound, lambda: list(cursor), 43)
    large = db.large
    large.insert_many([{"_id": n, "pad": "x" * (3 << 20)} for n in range(20)])
    assert [d["_id"] for d in large.find()] == list(range(20)), "60 MB, page by page"
    assert [d["_id"] for d in large.find({"pad": {"$exists": True}}, batch_size=3)] == list(range(20))
    large.drop()


def writing():
    c = db.writing
    assert c.update_one({"_id": 1}, {"$set": {"a": 1}}).matched_count == 0
    made = c.update_one({"_id": 1, "b": 2}, {"$inc": {"a": 1}}, upsert=True)
    assert made.upserted_id == 1 and c.find_one() == {"_id": 1, "b": 2, "a": 1}
    own = c.update_one({"k": 1}, {"$set": {"v": 1}}, upsert=True).upserted_id
    assert isinstance(own, ObjectId)
    same = c.update_one({"_id": 1}, {"$set": {"a": 1}})
    assert (same.matched_count, same.modified_count) == (1, 0)
    c.insert_many([{"_id": n, "list": [1, 5, 9]} for n in (10, 11, 12)])
    many = c.update_many({"list": {"$exists": True}}, {"$set": {"list.$[big]": 0}}, array_filters=[{"big": {"$gt": 4}}])
    assert many.modified_count == 3 and c.find_one(10)["list"] == [1, 0, 0]
    assert c.replace_one({"_id": 10}, {"x": 1}).modified_count == 1 and c.find_one(10) == {"_id": 10, "x": 1}
    assert c.delete_one({"_id": 10}).deleted_count == 1
    assert c.delete_many({"list": {"$exists": True}}).deleted_count == 2
    error = raises(OperationFailure, lambda: c.update_one({"_id": 1}, {"$set": {"_id": 2}}), 66)
    assert error
    raises(OperationFailure, lambda: c.update_one({"_id": 1}, {"$nope": {"a": 1}}), 9)

    c.insert_many([{"_id": n, "q": n} for n in range(20, 24)])
    before = c.find_one_and_update({"q": {"$gte": 20}}, {"$inc": {"q": 100}}, sort=[("q", DESCENDING)])
    assert before == {"_id": 23, "q": 23}
    after = c.find_one_and_update({"_id": 20}, {"$inc": {"q": 1}}, {"q": 1, "_id": 0}, return_document=ReturnDocument.AFTER)
    assert after == {"q": 21}
    assert c.find_one_and_update({"_id": 99}, {"$set": {"a": 1}}, upsert=True) is None
    piped = [{"$set": {"twice": {"$multiply": ["$q", 2]}}}, {"$unset": ["q"]}]
    assert c.update_many({"_id": {"$in": [21, 22]}}, piped).modified_count == 2
    assert c.find_one(21) == {"_id": 21, "twice": 42}
    refused = [{"$group": {"_id": "$a"}}]
    raises(OperationFailure, lambda: c.update_one({"_id": 99}, refused), 72)
    assert c.find_one_and_update({"_id": 98}, {"$set": {"a": 1}}, upsert=True, return_document=True) == {"_id": 98, "a": 1}
    assert c.find_one_and_replace({"_id": 98}, {"b": 1}) == {"_id": 98, "a": 1}
    taken = c.find_one_and_delete({"q": {"$exists": True}}, sort=[("q", ASCENDING)])
    assert taken == {"_id": 20, "q": 21} and c.find_one(20) is None
    assert c.find_one_and_delete({"_id": 20}) is None

    silent = db.get_collection("writing", write_concern=WriteConcern(w=0))
    silent.insert_one({"_id": "silent"})
    # The same connection answers in order, so what was written without an answer is there.
    deadline = datetime.datetime.now() + datetime.timedelta(seconds=30)
    while c.find_one("silent") is None:
        assert datetime.datetime.now() < deadline


def duplicates():
    c = db.duplicates
    c.create_index([("phone", 1), ("kind", -1)], unique=True, name="one")
    c.insert_one({"_id": "a", "phone": "1", "kind": 2})
    error = raises(DuplicateKeyError, lambda: c.insert_one({"_id": "b", "phone": "1", "kind": 2}), 11000, "E11000")
    assert error.details["keyPattern"] == {"phone": 1, "kind": -1}, error.details
    assert error.details["keyValue"] == {"phone": "1", "kind": 2}
    text = f'E11000 duplicate key error collection: {db.name}.duplicates index: one dup key: {{ phone: "1", kind: 2 }}'
    assert text in str(error), error
    own = ObjectId("0123456789abcdef01234567")
    c.insert_one({"_id": own, "phone": "2"})
    error = raises(DuplicateKeyError, lambda: c.insert_one({"_id": own, "phone": "3"}), 11000)
    assert error.details["keyValue"] == {"_id": own} and error.details["keyPattern"] == {"_id": 1}
    assert "index: _id_ dup key: { _id: ObjectId('0123456789abcdef01234567') }" in str(error)
    raises(DuplicateKeyError, lambda: c.update_one({"_id": own}, {"$set": {"phone": "1", "kind": 2}}), 11000)
    raises(DuplicateKeyError, lambda: c.find_one_and_update({"_id": own}, {"$set": {"phone": "1", "kind": 2}}), 11000)
    raises(OperationFailure, lambda: db.things.create_index("n", unique=True), 11000)


def bulk():
    c = db.bulk
    done = c.bulk_write(
        [
            InsertOne({"_id": 1}),
            InsertOne({"_id": 2}),
            UpdateOne({"_id": 1}, {"$set": {"a": 1}}),
            UpdateMany({}, {"$set": {"b": 1}}),
            ReplaceOne({"_id": 9}, {"n": 1}, upsert=True),
            DeleteOne({"_id": 2}),
            DeleteMany({"none": 1}),
        ]
    )
    assert (done.inserted_count, done.matched_count, done.modified_count, done.deleted_count) == (2, 3, 3, 1)
    assert done.upserted_ids == {4: 9}
    # Ordered: what stands behind the failure is not tried.
    documents = [{"_id": n} for n in (3, 1, 4, 1, 5)]
    error = raises(BulkWriteError, lambda: c.insert_many(documents))
    assert error.details["nInserted"] == 1 and [e["index"] for e in error.details["writeErrors"]] == [1]
    assert c.find_one(4) is None
    error = raises(BulkWriteError, lambda: c.insert_many(documents, ordered=False))
    assert error.details["nInserted"] == 2, error.details
    assert [e["index"] for e in error.details["writeErrors"]] == [0, 1, 3]
    updates = [UpdateOne({"_id": n}, {"$inc": {"k": 1}}, upsert=True) for n in range(100, 400)]
    done = c.bulk_write(updates, ordered=False)
    assert done.upserted_count == 300
    error = raises(
        BulkWriteError,
        lambda: c.bulk_write(
            [UpdateOne({"_id": 1}, {"$inc": {"b": "x"}}), UpdateOne({"_id": 1}, {"$set": {"late": 1}})], ordered=False
        ),
    )
    assert error.details["writeErrors"][0]["index"] == 0 and c.find_one(1)["late"] == 1


def indexes():
    c = db.indexed
    assert c.create_index([("a", 1)]) == "a_1"
    assert c.create_index([("a", 1)]) == "a_1"
    assert c.create_index([("where", "2dsphere")]) == "where_2dsphere"
    c.create_index("s", sparse=True, background=True)
    assert set(c.index_information()) == {"_id_", "a_1", "where_2dsphere", "s_1"}
    assert c.index_information()["s_1"]["sparse"] is True
    c.insert_one({"where": {"type": "Point", "coordinates": [113.3, 23.1]}})
    near = {"$near": {"$geometry": {"type": "Point", "coordinates": [113.3, 23.1]}, "$maxDistance": 10}}
    assert c.count_documents({"where": {"$geoWithin": {"$centerSphere": [[113.3, 23.1], 0.001]}}}) == 1
    assert c.find_one({"where": near})
    c.drop_index("a_1")
    raises(OperationFailure, lambda: c.drop_index("a_1"), 27)
    c.drop_indexes()
    assert set(c.index_information()) == {"_id_"}
    raises(OperationFailure, lambda: c.create_index("t", expireAfterSeconds=5), text="expireAfterSeconds")
    raises(OperationFailure, lambda: c.create_index([("t", "text")]), 67)
    assert db.no_such.index_information() == {}


def collections():
    db.create_collection("made")
    raises(OperationFailure, lambda: db.command("create", "made"), 48)
    assert "made" in db.list_collection_names(filter={"name": "made"})
    [made] = db.list_collections(filter={"name": "made"})
    assert made["type"] == "collection" and made["idIndex"]["key"] == {"_id": 1}
    db.made.drop()
    db.made.drop()
    assert "made" not in db.list_collection_names()
    assert client.list_database_names() == [db.name]
    assert db.command("dbStats")["collections"] == len(db.list_collection_names())
    assert db.command("collStats", "things")["count"] == 100
    [stats] = db.things.aggregate([{"$collStats": {"storageStats": {}}}, {"$project": {"n": "$storageStats.count"}}])
    assert stats["n"] == 100
    assert client.test.things.count_documents({}) == 100, "`test` is what clients take where none is named"
    raises(OperationFailure, lambda: client.other.things.find_one(), 73, db.name)
    raises(OperationFailure, lambda: client.admin.things.insert_one({}), 13)
    assert client.admin.things.find_one() is None
    assert client.server_info()["versionArray"][0] >= 7


def sessions():
    c = db.accounts
    c.insert_many([{"_id": "a", "money": 100}, {"_id": "b", "money": 0}])
    with client.start_session() as session:
        with session.start_transaction():
            c.update_one({"_id": "a"}, {"$inc": {"money": -30}}, session=session)
            c.update_one({"_id": "b"}, {"$inc": {"money": 30}}, session=session)
            assert c.find_one("a", session=session)["money"] == 70
            assert c.find_one("a")["money"] == 100
            assert [d["money"] for d in c.find(session=session).sort("_id")] == [70, 30]
        assert c.find_one("a")["money"] == 70
        session.start_transaction()
        c.insert_one({"_id": "c"}, session=session)
        session.abort_transaction()
        assert c.find_one("c") is None
        # An error ends it.
        session.start_transaction()
        c.insert_one({"_id": "d"}, session=session)
        raises(DuplicateKeyError, lambda: c.insert_one({"_id": "a"}, session=session))
        error = raises(OperationFailure, lambda: c.find_one("d", session=session), 251)
        assert error.has_error_label("TransientTransactionError")
        raises(OperationFailure, session.commit_transaction, 251)
        assert c.find_one("d") is None
        with session.start_transaction():
            db.born_in_one.insert_one({"_id": 1}, session=session)
        assert db.born_in_one.find_one(1)

    one, two = client.start_session(), client.start_session()
    one.start_transaction()
    two.start_transaction()
    c.update_one({"_id": "a"}, {"$inc": {"money": 1}}, session=one)
    error = raises(OperationFailure, lambda: c.update_one({"_id": "a"}, {"$inc": {"money": 1}}, session=two), 112)
    assert error.has_error_label("TransientTransactionError"), error.details
    one.commit_transaction()
    one.commit_transaction()
    one.end_session()
    two.end_session()
    assert c.find_one("a")["money"] == 71


def contended_transactions():
    c = db.counters
    c.insert_one({"_id": "n", "n": 0})

    def increment(session):
        now = c.find_one("n", session=session)["n"]
        c.update_one({"_id": "n"}, {"$set": {"n": now + 1}}, session=session)

    def work():
        with client.start_session() as session:
            for _ in range(20):
                session.with_transaction(increment)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert c.find_one("n")["n"] == 120, c.find_one("n")


def changes():
    with db.watch() as everything, db.followed.watch([{"$project": {"operationType": 1}}]) as one:
        db.followed.insert_one({"_id": 1})
        db.unfollowed.insert_one({"_id": 2})
        db.followed.delete_one({"_id": 1})
        seen = [everything.next() for _ in range(3)]
        assert [(e["operationType"], e["ns"]["coll"], e["documentKey"]["_id"]) for e in seen] == [
            ("insert", "followed", 1),
            ("insert", "unfollowed", 2),
            ("delete", "followed", 1),
        ]
        assert [sorted(one.next()) for _ in range(2)] == [["_id", "operationType"]] * 2
        assert one.try_next() is None
        with db.watch(resume_after=seen[1]["_id"]) as resumed:
            again = resumed.next()
            assert (again["_id"], again["documentKey"]) == (seen[2]["_id"], {"_id": 1})


def retried_writes():
    # A client of its own: sessions that were used before may have come to higher numbers.
    with MongoClient(URL, serverSelectionTimeoutMS=20000) as own:
        db = own.get_default_database()
        c = db.retried
        session = own.start_session()
        lsid = session.session_id
        command = {"insert": "retried", "documents": [{"_id": 1}], "lsid": lsid, "txnNumber": Int64(50)}
        first = db.command(dict(command))
        again = db.command(dict(command))
        assert first["n"] == again["n"] == 1 and "writeErrors" not in again
        change = {
            "findAndModify": "retried",
            "query": {"_id": 1},
            "update": {"$inc": {"n": 1}},
            "new": True,
            "lsid": lsid,
            "txnNumber": Int64(51),
        }
        assert db.command(dict(change))["value"] == db.command(dict(change))["value"] == {"_id": 1, "n": 1}
        raises(OperationFailure, lambda: db.command(dict(command)), 225)
        session.end_session()
        assert c.count_documents({}) == 1


def limits():
    raises(OperationFailure, lambda: db.command({"insert": "x", "documents": []}), 16)
    deep = {}
    for _ in range(150):
        deep = {"a": deep}
    db.deep.insert_one({"_id": 1, "deep": deep})
    assert db.deep.find_one(1)["deep"] == deep
    slow = [{"$match": {"$expr": {"$gt": [{"$size": {"$range": [0, 1000]}}, 0]}}}]
    raises(ExecutionTimeout, lambda: list(db.many.aggregate(slow, maxTimeMS=1)), 50)


def passwords():
    right, host = URL.split("@") if "@" in URL else (None, None)
    if right is None:
        return
    for wrong in (f"mongodb://{host}", f"mongodb://yunqiao:wrong@{host}", f"mongodb://other:wrong@{host}"):
        stranger = MongoClient(wrong, serverSelectionTimeoutMS=20000)
        error = raises(OperationFailure, lambda: stranger.get_default_database().things.find_one())
        assert error.code in (13, 18), error
        stranger.close()
    status = client.admin.command("connectionStatus")
    assert status["authInfo"]["authenticatedUsers"] == [{"user": "yunqiao", "db": "admin"}]


CHECKS = [
    documents_of_every_type,
    reading,
    cursors_over_batches,
    writing,
    duplicates,
    bulk,
    indexes,
    collections,
    sessions,
    contended_transactions,
    changes,
    retried_writes,
    limits,
    passwords,
]
for check in CHECKS:
    check()
    print("ok", check.__name__, flush=True)
client.close()
