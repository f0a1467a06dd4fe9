// Package captivateiq simulates the data worksheets of CaptivateIQ's API: tables of a
// commission system whose records other systems write by a unique id. It is made from what
// is published of the API and never from the target that speaks to it. The core (sheet) is
// pure: it has neither a clock nor HTTP.
//
// Verified, by the vendor's OpenAPI and FAQ as others have kept them:
//
//   - the paths below /ciq/v1/data-worksheets/, each with a slash at its end, and the header
//     Authorization: Token …;
//   - the forms of worksheets, columns, records and lists; a batch has upserts and deletes,
//     both required, a thousand of each at most, and its answer lists the unique ids that
//     were created, updated and deleted;
//   - 5 calls a second and 1,500 an hour, above which there is a 429; 502 for a call that
//     takes longer than 30 seconds; a firewall that answers texts that look like SQL or
//     JavaScript with 403 and a page of HTML.
//
// Guessed, since only the answers of success are documented:
//
//   - the body of errors, and that they are 400, 401 and 404: in the form of Django REST
//     framework, whose marks the API bears (detail, or a list of texts by column), with its
//     Retry-After on a 429;
//   - that a batch is all or nothing, that two entries for one unique id refuse it, and that
//     a delete of what is not there is passed over;
//   - that columns which a record does not name stay as they are (Options.Replaces: are
//     emptied), that unknown columns and those with a formula are refused, and which texts
//     the firewall takes for SQL;
//   - that what a call of 502 was to do may be done all the same (Slow); that a path without
//     its last slash is not found, and that a list has a hundred records at most.
//
// Left out are everything but data worksheets, and the import of files.
package captivateiq
