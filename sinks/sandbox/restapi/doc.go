// Package restapi simulates an API of nobody in particular, in the way most are made: records
// are created by POST, which gives them an id of the API's own, and changed and deleted by
// that id. There is no upsert by a key of the client's, so a client has to remember ids, and
// to look for a record before it makes it a second time. Beside that it receives webhooks
// and verifies their signatures. It is made without a look at the target that speaks to it.
//
//	POST   /{collection}             201 {"id": …}; 422 or 409 where its rules say so
//	GET    /{collection}?field=value 200 {"items": […], "total": n}; limit and offset
//	GET    /{collection}/{id}        200, 404
//	PATCH  /{collection}/{id}        200, fields that are not named stay
//	PUT    /{collection}/{id}        200, fields that are not named go
//	DELETE /{collection}/{id}        204, 404
//	POST   /{collection}/bulk        200, or 207 where some failed; results in order
//	POST   /oauth/token              an access token for client credentials
//	POST   /hooks/{name}             204; 401 where the signature is wrong, 410 where the hook is gone
//
// Errors are {"errors": [{"code": …, "message": …, "field": …}]}.
//
// As no vendor stands behind it nothing of it is guessed but the custom: a token, a password
// or a signature of time and body (t=…,v1=…); 429 with Retry-After in seconds; a search that
// finds what was written only after a while, if told so (Options.SearchLag).
// The webhooks are Standard Webhooks by the published specification, verified by its
// vector: the headers webhook-id, webhook-timestamp (five minutes off at most) and
// webhook-signature, with any of several keys, symmetric (v1) or Ed25519 (v1a).
package restapi
