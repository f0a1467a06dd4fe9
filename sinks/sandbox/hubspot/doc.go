// Package hubspot simulates the HubSpot CRM API over HTTP: one account that holds records,
// has limits and locks, and refuses what HubSpot refuses. It is made from what is published
// of the API and never from the target that speaks to it, and is itself judged by HubSpot's
// own Node client (judge_test.go).
//
// Each path is there twice, as legacy (/crm/v3/objects/deals) and with any date
// (/crm/objects/2026-03/deals). The core (portal) is pure: it has neither a clock nor HTTP.
//
// Verified, by HubSpot's documentation, its OpenAPI or recorded answers:
//
//   - the paths, also those of associations (/crm/v4/associations, /crm/associations/DATE);
//     a batch has a hundred inputs at most, and reads of associations a thousand;
//   - a batch upsert needs a unique property, and says "Unable to perform update/upsert by
//     non-unique 0-3 property dealname" else; with objectWriteTraceId it is answered with 207
//     and takes what is valid; without, one wrong input refuses all;
//   - results come in any order, and email addresses in lower case;
//   - two inputs for one record refuse the batch ("Duplicate IDs found in batch input");
//   - values are texts, an empty one clears; the form of PROPERTY_DOESNT_EXIST,
//     INVALID_OPTION, INVALID_EMAIL, INVALID_LONG and INVALID_DATE; dates are a midnight of UTC;
//   - the conflict of an email address (409, with the existing id);
//   - the headers of limits, the body of a 429 (errorType and policyName, no category) and
//     that those of searches have neither; 423 for two seconds; 477 with Retry-After;
//   - BAD_REFRESH_TOKEN (400) and BAD_HUB (403) of the token endpoint.
//
// Guessed, where nothing was found:
//
//   - that values which are no JSON texts, and keys of bodies that it does not know, are
//     refused: HubSpot may take or pass over them, but a client that sends them errs;
//   - that trace ids count only if each input has one, and that they must be unique;
//   - the codes READ_ONLY_VALUE, INVALID_NUMBER, INVALID_LENGTH and CONFLICTING_UNIQUE_VALUE, and the text of the last;
//   - that the unique value of an archived record is in the way (Options.FreeArchived);
//   - that unique texts, other than email addresses, tell upper from lower case;
//   - the amount of writes that makes a lock (Options.Lock), and that a locked write counts
//     for the limits; that an update of a record that is not there is OBJECT_NOT_FOUND, and
//     404 for a batch without trace ids;
//   - the messages about too many inputs, unknown types of associations and unknown tokens.
//
// It is quicker than HubSpot: a search finds at once what was written.
package hubspot
