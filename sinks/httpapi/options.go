package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
	"github.com/walbridge/walbridge/sinks/transport"
)

// Secret is a text that is shown nowhere.
type Secret = transport.Secret

// Options say where and how to send.
type Options struct {
	// URL is http:// or https://: what the paths of the form are added to, or the form's own if
	// it is empty. It may hold a secret, so only its host is shown.
	URL string
	// Form says how the API is spoken to; Walbridge() if nil. It is not changed, and must not
	// be by others.
	Form *form.Form
	// Credentials are the secrets that the form's auth asks for.
	Credentials Credentials
	// Describe is where an object's schema is asked for, with {object} in place of its
	// name; nothing is asked if it is empty. It may hold a secret, as URL.
	Describe string
	// Headers are sent with every request, such as Authorization.
	Headers map[string]Secret
	// Timeout bounds one request; 15 s if zero.
	Timeout time.Duration
	// MaxBatch is the greatest number of records of a request; zero, or more than a form says,
	// is what the form says.
	MaxBatch int
	// MaxInFlight is the greatest number of requests at once; 4 if zero.
	MaxInFlight int
	// IgnoreKeyCase tells that the target takes key values that differ in case only for the
	// same.
	IgnoreKeyCase bool
	// Addresses are which addresses may be connected to; all if empty.
	Addresses sinks.Addresses
	// Transport makes the round trips; one that keeps to Addresses if nil.
	Transport http.RoundTripper
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

func (o *Options) defaults() {
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	f := Walbridge()
	if o.Form != nil {
		given := *o.Form
		f = &given
	}
	if o.URL != "" {
		f.URL = o.URL
	}
	o.Form = f
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 4
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

func (o *Options) check() (*url.URL, error) {
	u, err := url.Parse(o.Form.URL)
	if err != nil { // Compile has said so
		return nil, errors.New("url: want http://host/path or https://host/path")
	}
	if o.Describe != "" {
		if d, err := url.Parse(o.Describe); err != nil || d.Scheme != "http" && d.Scheme != "https" || d.Host == "" || !hasObject(o.Describe) {
			return nil, fmt.Errorf("describe: want http://host/path/%[1]s or https://host/path/%[1]s", objectMark)
		}
	}
	if err := o.Addresses.Validate(); err != nil {
		return nil, fmt.Errorf("addresses: %w", err)
	}
	for name, value := range o.Headers {
		if name == "" || strings.ContainsAny(name, " :\r\n") {
			return nil, fmt.Errorf("headers: %q is not a header name", name)
		}
		if strings.ContainsAny(value.Reveal(), "\r\n\x00") {
			return nil, fmt.Errorf("headers.%s: the value has a line break; check the file or variable it comes from", name)
		}
	}
	return u, nil
}
