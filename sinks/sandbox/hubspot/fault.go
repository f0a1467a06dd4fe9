package hubspot

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// The categories of errors, as HubSpot names them.
const (
	validationError = "VALIDATION_ERROR"
	conflict        = "CONFLICT"
	objectNotFound  = "OBJECT_NOT_FOUND"
	missingScopes   = "MISSING_SCOPES"
	rateLimits      = "RATE_LIMITS"
)

// fault is why a request, or one input of a batch, is refused.
type fault struct {
	status      int
	category    string
	subCategory string
	message     string
	details     []detail
	context     map[string][]string
}

// detail is one of the errors within an error.
type detail struct {
	Message string              `json:"message"`
	Code    string              `json:"code,omitempty"`
	Context map[string][]string `json:"context,omitempty"`
}

// body is an error on the wire. All of its fields are optional to a client.
type errorBody struct {
	Status        string              `json:"status"`
	Message       string              `json:"message"`
	CorrelationID string              `json:"correlationId,omitempty"`
	Category      string              `json:"category,omitempty"`
	SubCategory   string              `json:"subCategory,omitempty"`
	Context       map[string][]string `json:"context,omitempty"`
	Errors        []detail            `json:"errors,omitempty"`
	// The two of an answer to a call above a limit, which has no category.
	ErrorType  string `json:"errorType,omitempty"`
	PolicyName string `json:"policyName,omitempty"`
}

// body gives the fault as the answer to a request.
func (f *fault) body(correlation string) errorBody {
	return errorBody{Status: "error", Message: f.message, CorrelationID: correlation,
		Category: f.category, SubCategory: f.subCategory, Context: f.context, Errors: f.details}
}

// batchError is a fault on the wire as one of the errors of a 207.
type batchError struct {
	Status      string              `json:"status"`
	Category    string              `json:"category"`
	SubCategory string              `json:"subCategory,omitempty"`
	Message     string              `json:"message"`
	Context     map[string][]string `json:"context"`
	Errors      []detail            `json:"errors,omitempty"`
	Links       map[string]string   `json:"links,omitempty"`
}

// inBatch gives the fault as one of the errors of a batch, of the input with a trace id.
func (f *fault) inBatch(trace string) batchError {
	e := batchError{Status: "error", Category: f.category, SubCategory: f.subCategory, Message: f.message,
		Context: make(map[string][]string, len(f.context)+1), Errors: f.details}
	for k, v := range f.context {
		e.Context[k] = v
	}
	if trace != "" {
		e.Context["objectWriteTraceId"] = []string{trace}
	}
	return e
}

func badRequest(format string, args ...any) *fault {
	return &fault{status: http.StatusBadRequest, category: validationError, message: fmt.Sprintf(format, args...)}
}

// badInput is a body that cannot be read.
func badInput(err error) *fault { return badRequest("Invalid input JSON: %s", err) }

// wrongValue is a value that a property does not take, in the form in which HubSpot tells
// of it twice: within the message and beside it.
type wrongValue struct {
	Valid     bool   `json:"isValid"`
	Message   string `json:"message"`
	Error     string `json:"error"`
	Name      string `json:"name"`
	Localized string `json:"localizedErrorMessage"`
	Portal    int64  `json:"portalId"`
}

// wrongValues is the fault of a record with such values.
func wrongValues(list []wrongValue) *fault {
	f := &fault{status: http.StatusBadRequest, category: validationError}
	text, err := json.Marshal(list)
	if err != nil {
		return &fault{status: http.StatusInternalServerError, message: "encode the errors"}
	}
	f.message = "Property values were not valid: " + string(text)
	for _, w := range list {
		f.details = append(f.details, detail{Message: w.Message, Code: w.Error, Context: map[string][]string{"propertyName": {w.Name}}})
	}
	return f
}

// collision is a unique value that another record has.
type collision struct {
	t          *table
	p          *Property
	value      string
	own, other string // ids
}

// fault tells of it. Of a contact's email address HubSpot tells in a form of its own.
func (c collision) fault(portal int64) *fault {
	p := c.p
	if p.email {
		return &fault{status: http.StatusConflict, category: conflict, message: "Contact already exists. Existing ID: " + c.other}
	}
	message := fmt.Sprintf("Cannot set PropertyValueCoordinates{portalId=%d, objectTypeId=%s, objectId=%s, propertyName=%s, value=%s}. %s already has that value.",
		portal, c.t.ID, c.own, p.Name, c.value, c.other)
	return &fault{status: http.StatusBadRequest, category: validationError, message: message,
		details: []detail{{Message: message, Code: "CONFLICTING_UNIQUE_VALUE", Context: map[string][]string{"propertyName": {p.Name}}}}}
}

// missing is the fault of a record that there is not.
func missing(t *ObjectType, ids ...string) *fault {
	return &fault{status: http.StatusNotFound, category: objectNotFound,
		message: fmt.Sprintf("Could not get some %s objects, they may be deleted or not exist. Check that ids are valid.", strings.ToUpper(t.Singular)),
		context: map[string][]string{"ids": ids}}
}

func noSuchType(name string) *fault {
	return badRequest("Unable to infer object type from: %s", name)
}

func noSuchPath() *fault {
	return &fault{status: http.StatusNotFound, category: objectNotFound, message: "resource not found"}
}
