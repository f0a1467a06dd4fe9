package hubspot

import (
	"net/http"
	"regexp"
)

// dated is a version of HubSpot's API that is a date.
var dated = regexp.MustCompile(`^20\d\d-(0[1-9]|1[0-2])(-beta)?$`)

// route is a path of which there are two: one of a legacy version (/crm/v3/objects/deals),
// and one with a date (/crm/objects/2026-03/deals).
type route struct {
	method, legacy, family, rest string
	kind                         kind
	handler                      handler
}

// reads and writes are calls about the records of a type that the path names.
func reads(name string) kind {
	return kind{name: name, scope: "crm.objects.TYPE.read", from: "type"}
}

func writes(name string) kind {
	return kind{name: name, write: true, scope: "crm.objects.TYPE.write", from: "type"}
}

func searches(name string) kind {
	k := reads(name)
	k.search = true
	return k
}

// linking makes a call one about associations of records of a type.
func linking(k kind) kind {
	k.name, k.from = "associations_"+k.name, "from"
	return k
}

var (
	schema = kind{name: "properties", scope: "crm.schemas.TYPE.read", from: "type"}
	owners = kind{name: "owners", scope: "crm.objects.owners.read"}
)

func allRoutes() []route {
	const dft = "/associations/default/{to}/{toID}"
	return []route{
		{"POST", "v3", "objects", "/{type}/batch/create", writes("batch_create"), batchWrite(opCreate)},
		{"POST", "v3", "objects", "/{type}/batch/update", writes("batch_update"), batchWrite(opUpdate)},
		{"POST", "v3", "objects", "/{type}/batch/upsert", writes("batch_upsert"), batchWrite(opUpsert)},
		{"POST", "v3", "objects", "/{type}/batch/archive", writes("batch_archive"), batchArchive},
		{"POST", "v3", "objects", "/{type}/batch/read", reads("batch_read"), batchRead},
		{"POST", "v3", "objects", "/{type}/search", searches("search"), searchRecords},
		{"POST", "v3", "objects", "/{type}", writes("create"), createRecord},
		{"GET", "v3", "objects", "/{type}", reads("list"), listRecords},
		{"GET", "v3", "objects", "/{type}/{id}", reads("read"), readRecord},
		{"PATCH", "v3", "objects", "/{type}/{id}", writes("update"), updateRecord},
		{"DELETE", "v3", "objects", "/{type}/{id}", writes("archive"), archiveRecord},

		{"POST", "v4", "associations", "/{from}/{to}/batch/create", linking(writes("create")), associateBatch},
		{"POST", "v4", "associations", "/{from}/{to}/batch/associate/default", linking(writes("create")), associateDefault},
		{"POST", "v4", "associations", "/{from}/{to}/batch/archive", linking(writes("archive")), dissociateBatch},
		{"POST", "v4", "associations", "/{from}/{to}/batch/labels/archive", linking(writes("archive")), dissociateLabels},
		{"POST", "v4", "associations", "/{from}/{to}/batch/read", linking(reads("read")), readLinks},
		{"GET", "v4", "associations", "/{from}/{to}/labels", linking(reads("labels")), listLabels},
		{"GET", "v4", "objects", "/{from}/{id}/associations/{to}", linking(reads("read")), readLinksOfOne},
		{"PUT", "v4", "objects", "/{from}/{id}" + dft, linking(writes("create")), associateOneDefault},
		{"PUT", "v4", "objects", "/{from}/{id}/associations/{to}/{toID}", linking(writes("create")), associateOne},
		{"DELETE", "v4", "objects", "/{from}/{id}/associations/{to}/{toID}", linking(writes("archive")), dissociateOne},

		{"GET", "v3", "properties", "/{type}", schema, listProperties},
		{"GET", "v3", "properties", "/{type}/{name}", schema, readProperty},
		{"GET", "v3", "owners", "", owners, listOwners},
		{"GET", "v3", "pipelines", "/{type}", reads("pipelines"), listPipelines},
	}
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range allRoutes() {
		served := s.serve(r.kind, r.handler)
		mux.HandleFunc(r.method+" /crm/"+r.legacy+"/"+r.family+r.rest, served)
		mux.HandleFunc(r.method+" /crm/"+r.family+"/{version}"+r.rest, s.onDate(served))
	}
	mux.HandleFunc("GET /crm/v3/owners/{$}", s.serve(owners, listOwners))
	mux.HandleFunc("POST /oauth/v1/token", s.token)
	mux.HandleFunc("POST /oauth/{version}/token", s.onDate(s.token))
	mux.HandleFunc("POST /_control", s.serveControl)
	mux.HandleFunc("/", s.notFound)
	return mux
}

// onDate answers only where the version is a date.
func (s *Server) onDate(served http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !dated.MatchString(r.PathValue("version")) {
			s.notFound(w, r)
			return
		}
		served(w, r)
	}
}
