"""What the libraries of the standards read in our files, as one JSON object on standard output.

    standards.py prov-json|prov-turtle|openlineage|croissant FILE

Each part uses the library of its standard and nothing of ours; what a library refuses is an error.
"""
import collections, json, sys


def prov_json(path):
    from prov.model import (ProvActivity, ProvAgent, ProvDerivation, ProvDocument, ProvEntity,
                            ProvGeneration, ProvUsage)
    document = ProvDocument.deserialize(path)
    of = lambda kind: list(document.get_records(kind))
    derived = [[str(end.localpart) for _, end in list(one.formal_attributes)[:2]]
               for one in of(ProvDerivation)]
    # Everything that a relation names is stated.
    stated = {one.identifier for kind in (ProvActivity, ProvAgent, ProvEntity) for one in of(kind)}
    for one in document.get_records():
        if one.is_relation():
            for name, value in one.formal_attributes:
                if hasattr(value, "localpart"):
                    assert value in stated, f"{value} is named and not stated"
    return {
        "entities": len(of(ProvEntity)), "activities": len(of(ProvActivity)),
        "agents": sorted(str(one.label) for one in of(ProvAgent)),
        "generated": len(of(ProvGeneration)), "used": len(of(ProvUsage)),
        "derived": sorted(derived),
        "files": sorted(str(one.label) for one in of(ProvEntity)
                        if any("File" in str(t) for t in one.get_asserted_types())),
        "versions": sorted(
            [str(next(iter(one.get_attribute("gloss:deed")))),
             str(next(iter(one.get_attribute("gloss:label"))))]
            for one in of(ProvEntity) if one.get_attribute("gloss:label")),
    }


def prov_turtle(path):
    import rdflib
    from rdflib.namespace import PROV, RDF, RDFS
    graph = rdflib.Graph().parse(path, format="turtle")
    of = lambda kind: set(graph.subjects(RDF.type, kind))
    entities, activities, agents = of(PROV.Entity), of(PROV.Activity), of(PROV.Agent)
    local = lambda iri: str(iri).rsplit(":", 1)[1]
    things = entities | activities | agents
    for relation in (PROV.used, PROV.wasDerivedFrom, PROV.wasAttributedTo, PROV.wasGeneratedBy,
                     PROV.wasAssociatedWith):
        for subject, thing in graph.subject_objects(relation):
            assert subject in things and thing in things, f"{subject} or {thing} is not stated"
    label = lambda thing: str(graph.value(thing, RDFS.label))
    times = list(graph.objects(None, PROV.startedAtTime))
    assert all(time.value is not None for time in times), "a time is no date"
    return {
        "entities": len(entities), "activities": len(activities),
        "agents": sorted(map(label, agents)),
        "generated": len(list(graph.subject_objects(PROV.wasGeneratedBy))),
        "used": len(list(graph.subject_objects(PROV.used))),
        "derived": sorted([local(a), local(b)] for a, b in graph.subject_objects(PROV.wasDerivedFrom)),
        "files": sorted(label(thing) for thing in entities if "file-" in str(thing)),
    }


def openlineage(path):
    from openlineage.client import event_v2 as model
    from openlineage.client.generated import dataset_version_dataset, output_statistics_output_dataset
    own = lambda members: {k: v for k, v in members.items() if not k.startswith("_")}

    def dataset(kind, one):
        version = own(one["facets"]["version"])
        facets = {"version": dataset_version_dataset.DatasetVersionDatasetFacet(**version)}
        more = {}
        if one.get("outputFacets"):
            told = own(one["outputFacets"]["outputStatistics"])
            more["outputFacets"] = {"outputStatistics":
                output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(**told)}
        for facet in [*one["facets"].values(), *one.get("outputFacets", {}).values()]:
            assert facet["_producer"] and facet["_schemaURL"].startswith("https://"), facet
        return kind(namespace=one["namespace"], name=one["name"], facets=facets, **more)

    runs, jobs, annotators, metrics = collections.Counter(), [], set(), []
    for line in open(path, encoding="utf-8"):
        one = json.loads(line)
        # The constructors check: ids are UUIDs, times are dates, producers are URIs.
        event = model.RunEvent(
            eventTime=one["eventTime"], producer=one["producer"],
            eventType=model.RunState[one["eventType"]],
            run=model.Run(runId=one["run"]["runId"]),
            job=model.Job(namespace=one["job"]["namespace"], name=one["job"]["name"]),
            inputs=[dataset(model.InputDataset, i) for i in one["inputs"]],
            outputs=[dataset(model.OutputDataset, o) for o in one["outputs"]])
        runs[event.run.runId] += 1
        for name, facet in one["run"]["facets"].items():
            assert facet["_producer"] and facet["_schemaURL"], facet
            annotators.update(facet.get("annotators", []))
            if facet.get("metrics") and one["eventType"] == "COMPLETE":
                metrics.append(facet["metrics"])
        if one["eventType"] == "COMPLETE":
            inputs = [i["name"] for i in one["inputs"]]
            rows = [o["outputFacets"]["outputStatistics"]["rowCount"] for o in one["outputs"]
                    if o.get("outputFacets")]
            jobs.append([one["job"]["name"], inputs, rows])
    assert set(runs.values()) == {2}, "a run has a start and an end"
    return {"jobs": jobs, "annotators": sorted(annotators), "metrics": metrics}


def croissant(path):
    import mlcroissant
    dataset = mlcroissant.Dataset(jsonld=path)
    issues = dataset.metadata.ctx.issues
    assert not issues.errors, issues.report()
    text = lambda value: value.decode() if isinstance(value, bytes) else value
    name = lambda key: key.split("/")[-1]
    records = [{name(k): text(v) for k, v in record.items()} for record in dataset.records("annotations")]
    return {"version": str(dataset.metadata.ctx.conforms_to.value), "records": records,
            "warnings": sorted(issues.warnings)}


kind, path = sys.argv[1:]
print(json.dumps(globals()[kind.replace("-", "_")](path), default=str))
