package expr

import "strings"

// The currencies of ISO 4217 list one, and those of late that old rows may still have, by
// the digits of their smallest unit. Two is the rule. (golang.org/x/text/currency has those
// of the CLDR, which tells how amounts are usually shown: whole dinars, say.)
const (
	noDigits    = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
	threeDigits = "BHD IQD JOD KWD LYD OMR TND"
	fourDigits  = "CLF UYW"
	twoDigits   = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUC CUP CVE CZK " +
		"DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL " +
		"MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL " +
		"THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG ZWL"
)

// currencyDigits has the digits by code.
var currencyDigits = func() map[string]int {
	out := map[string]int{}
	for digits, codes := range map[int]string{0: noDigits, 2: twoDigits, 3: threeDigits, 4: fourDigits} {
		for _, code := range strings.Fields(codes) {
			out[code] = digits
		}
	}
	return out
}()

// digitsOf gives how many digits a currency has behind the point.
func digitsOf(code string) (int, failed) {
	digits, ok := currencyDigits[strings.ToUpper(strings.TrimSpace(code))]
	if !ok {
		return 0, "not a currency's code of three letters"
	}
	return digits, ""
}
