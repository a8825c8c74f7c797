#include "index/binarizer/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/binarizer/encoder.h"
#include "index/binarizer/open_binarizer.h"
#include "index/binarizer/safetensors.h"
#include "tests/unit/binarizer/random_model.h"

namespace bebr {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr char kFittedFile[] =
    "IAIAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJhcmNoaXRlY3R1cmUiOiJyZXNpZHVhbF9tbHAiLCJiYW5kcyI6IjV4MSszeDIiLCJjaGVja3N1bSI6"
    "IjA3ZDRlZGIxIiwiZm9ybWF0IjoiYmVici1iaW5hcml6ZXIiLCJmb3JtYXRfdmVyc2lvbiI6IjIiLCJoaWRkZW4iOiIiLCJpbnB1dF9kaW1zIjoi"
    "MyIsIm1ldHJpYyI6ImNvc2luZSIsInF1YW50aXplciI6ImZpdHRlZCIsInF1ZXJ5X2xldmVscyI6IjYiLCJyZXNpZHVhbF9mb3JtIjoiY29kZSIs"
    "InRyYWluZWQiOiJyYW5kb20gd2VpZ2h0cyBmb3IgYSB0ZXN0In0sImJhbmRfd2VpZ2h0cyI6eyJkYXRhX29mZnNldHMiOlswLDhdLCJkdHlwZSI6"
    "IkYzMiIsInNoYXBlIjpbMl19LCJtZWFuIjp7ImRhdGFfb2Zmc2V0cyI6WzgsMjBdLCJkdHlwZSI6IkYzMiIsInNoYXBlIjpbM119LCJwcm9qZWN0"
    "LmJpYXMiOnsiZGF0YV9vZmZzZXRzIjpbMjAsNTJdLCJkdHlwZSI6IkYzMiIsInNoYXBlIjpbOF19LCJwcm9qZWN0LndlaWdodCI6eyJkYXRhX29m"
    "ZnNldHMiOls1MiwxNDhdLCJkdHlwZSI6IkYzMiIsInNoYXBlIjpbOCwzXX19ICAgAAAAPwAAwD9curI9Ti7HvZ0tYD0mKTC+a1HdPSvyBzw+ZV69"
    "1eWlvbtaFr1YldY8w3gOPKfvbb8r4v6+XROZvgG3AT/QNW6+xdy7PgzvWr9DMP4+yXlVv+nMJ7+v9y0/hF1MP7ozYb5ggfk3+UwJP+nqGr+F4gU/"
    "FhyxveecM7/oEgo/suKEPjgNnr4T1ec96NIlvw==";
constexpr uint32_t kFittedCode[] = {26, 2, 1};
constexpr uint32_t kFittedPlanes[] = {26, 3, 25, 24, 0, 16, 2, 0, 1, 1, 1, 1};
constexpr char kFittedFloats[] = "0x1.b2445p-1 0x1.a6d544p-4 0x1.0e4d9ap-8 0x1.08a424p-8 0x1.54a01ap-4";

// The same of version 3.
constexpr char kGroupedFile[] =
    "0AIAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJhcmNoaXRlY3R1cmUiOiJyZXNpZHVhbF9tbHAiLCJiYW5kcyI6Ijh4Mis1eDEiLCJj"
    "aGVja3N1bSI6IjBlYmFhMjEwIiwiZm9ybWF0IjoiYmVici1iaW5hcml6ZXIiLCJmb3JtYXRfdmVyc2lvbiI6IjMiLCJncm91cHMi"
    "OiIyIiwiaGlkZGVuIjoiIiwiaW5wdXRfZGltcyI6IjMiLCJtZXRyaWMiOiJjb3NpbmUiLCJxdWFudGl6ZXIiOiJmaXR0ZWQiLCJx"
    "dWVyeV9sZXZlbHMiOiI2IiwicmVkdWNlZF9kaW1zIjoiMiIsInJlc2lkdWFsX2Zvcm0iOiJjb2RlIiwidHJhaW5lZCI6InJhbmRv"
    "bSB3ZWlnaHRzIGZvciBhIHRlc3QifSwiYmFuZF93ZWlnaHRzIjp7ImRhdGFfb2Zmc2V0cyI6WzAsOF0sImR0eXBlIjoiRjMyIiwi"
    "c2hhcGUiOlsyXX0sImdyb3Vwcy5iYW5kX3dlaWdodHMiOnsiZGF0YV9vZmZzZXRzIjpbOCwyNF0sImR0eXBlIjoiRjMyIiwic2hh"
    "cGUiOlsyLDJdfSwiZ3JvdXBzLm1lYW4iOnsiZGF0YV9vZmZzZXRzIjpbMjQsNDhdLCJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMiwz"
    "XX0sImdyb3Vwcy5wcm9qZWN0Ijp7ImRhdGFfb2Zmc2V0cyI6WzQ4LDE1Ml0sImR0eXBlIjoiRjE2Iiwic2hhcGUiOlsyLDEzLDJd"
    "fSwibWVhbiI6eyJkYXRhX29mZnNldHMiOlsxNTIsMTY0XSwiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzNdfSwicmVkdWNlIjp7ImRh"
    "dGFfb2Zmc2V0cyI6WzE2NCwxNzZdLCJkdHlwZSI6IkYxNiIsInNoYXBlIjpbMiwzXX19ICAAAAA/AADAPwAAAD8AAMA/AADAPwAA"
    "IEDNheO+ihSEPrnZ3b6vDw2+G22UPSJX3L2pOtI7T7RjAkE57rkgOceu4LpJORY1DbZwMFm63rwdOoMrJbaVuCe07THfKwQxw7tu"
    "PSI4GCy2rVG9ATOXtrO1k7gvNMIpgT1lO2o2VLO+vAW2T7JDtkc9jrg+MzY5rLLKIsy2i7RBvFy6sj1OLse9nS1gPW+797fJtA44"
    "crPfNQ==";
constexpr uint32_t kGroupedCode[] = {26, 183, 3};
constexpr uint32_t kGroupedPlanes[] = {147, 184, 213, 232, 130, 203, 2, 21, 4,  20, 23, 1,
                                       26,  183, 189, 253, 242, 179, 3, 13, 19, 29, 11, 5};
constexpr char kGroupedFloats[] =
    "0x1.8cc0e4p-1 -0x1.2aa1b2p-3 1 0x1.065b1ap-8 0x1.14bfcp-6 0x1.d0e31ep-8 0x1.adcfecp-6 -0x1.0262d8p+0 "
    "-0x1.73f55ep-3";

// And of version 4, in groups.
constexpr char kFineFile[] =
    "AAMAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJhcmNoaXRlY3R1cmUiOiJyZXNpZHVhbF9tbHAiLCJiYW5kcyI6IjN4NCszeDIrNXgyIiwiY2hlY2tz"
    "dW0iOiJkZGQ4MGFkZCIsImZvcm1hdCI6ImJlYnItYmluYXJpemVyIiwiZm9ybWF0X3ZlcnNpb24iOiI0IiwiZ3JvdXBzIjoiMiIsImhpZGRlbiI6"
    "IiIsImlucHV0X2RpbXMiOiIzIiwibGV2ZWxzIjoiM3g2KzV4MiIsIm1ldHJpYyI6ImNvc2luZSIsInF1YW50aXplciI6ImZpdHRlZCIsInF1ZXJ5"
    "X2xldmVscyI6IjYiLCJyZWR1Y2VkX2RpbXMiOiIyIiwicmVzaWR1YWxfZm9ybSI6ImNvZGUiLCJ0cmFpbmVkIjoicmFuZG9tIHdlaWdodHMgZm9y"
    "IGEgdGVzdCIsInRyaWVkX2dyb3VwcyI6IjIifSwiYmFuZF93ZWlnaHRzIjp7ImRhdGFfb2Zmc2V0cyI6WzAsMTJdLCJkdHlwZSI6IkYzMiIsInNo"
    "YXBlIjpbM119LCJncm91cHMuYmFuZF93ZWlnaHRzIjp7ImRhdGFfb2Zmc2V0cyI6WzEyLDM2XSwiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzIsM119"
    "LCJncm91cHMubWVhbiI6eyJkYXRhX29mZnNldHMiOlszNiw2MF0sImR0eXBlIjoiRjMyIiwic2hhcGUiOlsyLDNdfSwiZ3JvdXBzLnByb2plY3Qi"
    "OnsiZGF0YV9vZmZzZXRzIjpbNjAsMTI0XSwiZHR5cGUiOiJGMTYiLCJzaGFwZSI6WzIsOCwyXX0sIm1lYW4iOnsiZGF0YV9vZmZzZXRzIjpbMTI0"
    "LDEzNl0sImR0eXBlIjoiRjMyIiwic2hhcGUiOlszXX0sInJlZHVjZSI6eyJkYXRhX29mZnNldHMiOlsxMzYsMTQ4XSwiZHR5cGUiOiJGMTYiLCJz"
    "aGFwZSI6WzIsM119fSAgICAgICAAAAA/AAAAPQAAwD8AAAA/AAAAPQAAwD8AAMA/AADAPQAAIEDNheO+ihSEPrnZ3b5A68s878smvr/YeL6pOtI7"
    "T7RjAkE57rkgOceu4LpJORY1DbZwMFm63rwdOu0x3ysEMcO7bj0iODK1dzEPtCiwGCy2rVG9ATOXtrO1XLqyPU4ux72dLWA9b7v3t8m0Djhys981";
constexpr uint32_t kFineCode[] = {3, 0, 4, 5, 3, 1, 18, 31};
constexpr uint32_t kFinePlanes[] = {3, 0, 1, 3, 0, 0, 3, 0, 1, 3, 0, 0, 18, 23, 26, 29, 16, 25,
                                    0, 5, 5, 1, 1, 0, 0, 5, 5, 1, 1, 0, 11, 28, 29, 8,  29, 29};
constexpr char kFineFloats[] =
    "0x1.51567cp+0 -0x1.1d76fep-1 0 0x1.8cdef8p-11 0x1.8cdef8p-13 0x1.8988a8p-7 0x1.37e60cp-10 0x1.37e60cp-12 "
    "0x1.d88cdp-8 -0x1.0262d8p+0 -0x1.cf1c0ep-3";

// The same of version 6: 5x2t+9x1t+3x4 in two groups, both of which are tried.
constexpr char kTrellisFile[] =
    "CAMAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJhcmNoaXRlY3R1cmUiOiJyZXNpZHVhbF9tbHAiLCJiYW5kcyI6IjV4MnQrOXgxdCszeDQiLCJjaGVj"
    "a3N1bSI6IjE2NDQwYmJmIiwiZm9ybWF0IjoiYmVici1iaW5hcml6ZXIiLCJmb3JtYXRfdmVyc2lvbiI6IjYiLCJncm91cHMiOiIyIiwiaGlkZGVu"
    "IjoiIiwiaW5wdXRfZGltcyI6IjMiLCJsZXZlbHMiOiI1eDJ0Kzl4MXQrM3g0IiwibWV0cmljIjoiY29zaW5lIiwicXVhbnRpemVyIjoiZml0dGVk"
    "IiwicXVlcnlfbGV2ZWxzIjoiNiIsInJlZHVjZWRfZGltcyI6IjIiLCJyZXNpZHVhbF9mb3JtIjoiY29kZSIsInRyYWluZWQiOiJyYW5kb20gd2Vp"
    "Z2h0cyBmb3IgYSB0ZXN0IiwidHJpZWRfZ3JvdXBzIjoiMiJ9LCJiYW5kX3dlaWdodHMiOnsiZGF0YV9vZmZzZXRzIjpbMCwxMl0sImR0eXBlIjoi"
    "RjMyIiwic2hhcGUiOlszXX0sImdyb3Vwcy5iYW5kX3dlaWdodHMiOnsiZGF0YV9vZmZzZXRzIjpbMTIsMzZdLCJkdHlwZSI6IkYzMiIsInNoYXBl"
    "IjpbMiwzXX0sImdyb3Vwcy5tZWFuIjp7ImRhdGFfb2Zmc2V0cyI6WzM2LDYwXSwiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzIsM119LCJncm91cHMu"
    "cHJvamVjdCI6eyJkYXRhX29mZnNldHMiOls2MCwxOTZdLCJkdHlwZSI6IkYxNiIsInNoYXBlIjpbMiwxNywyXX0sIm1lYW4iOnsiZGF0YV9vZmZz"
    "ZXRzIjpbMTk2LDIwOF0sImR0eXBlIjoiRjMyIiwic2hhcGUiOlszXX0sInJlZHVjZSI6eyJkYXRhX29mZnNldHMiOlsyMDgsMjIwXSwiZHR5cGUi"
    "OiJGMTYiLCJzaGFwZSI6WzIsM119fSAgICAgIAAAAD8AAMA/AAAgQAAAAD8AAMA/AAAgQAAAwD8AACBAAABgQM2F476KFIQ+udndvuTiMr71yhq+"
    "Q3Z4vqk60jtPtGMCQTnuuSA5x67gukk5FjUNtnAwWbrevB06gysltpW4J7TtMd8rBDHDu249IjgytXcxD7QosBgstq1RvQEzwimBPWU7ajZUs768"
    "BbZPskO2Rz2OuD4zNjmsssoizLaLtEG8SzWhOO00TjBRuJiurjN/Oua4QLK0LTw+pjUrOl0+JjtcurI9Ti7HvZ0tYD1vu/e3ybQOOHKz3zU=";
constexpr uint32_t kTrellisCode[] = {19, 31, 137, 3, 5, 7, 1};
constexpr uint32_t kTrellisPlanes[] = {19, 24, 17, 19, 24, 20, 276, 173, 230, 303, 300, 478, 5, 6, 6, 6, 4, 4,
                                       25, 19, 23, 20, 19, 24, 465, 161, 373, 182, 198, 452, 3, 5, 7, 1, 3, 5};
constexpr char kTrellisFloats[] =
    "0x1.942b8cp-1 -0x1.5ede2ep-3 1 0x1.9c6652p-10 0x1.8988a8p-7 "
    "0x1.c248fcp-9 0x1.1be1eep-8 0x1.f33adp-8 0x1.32669p-8 -0x1.0262d8p+0 -0x1.225eb4p-2";

// Of version 7: 5x6+9x1t in three groups that share two bases.
constexpr char kByteFile[] =
    "mAMAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJhcmNoaXRlY3R1cmUiOiJyZXNpZHVhbF9tbHAiLCJiYW5kcyI6IjV4NCs1eDIrOXgxdCIsImJhc2VzIj"
    "oi"
    "MiIsImNoZWNrc3VtIjoiZWFiYjYyODIiLCJmb3JtYXQiOiJiZWJyLWJpbmFyaXplciIsImZvcm1hdF92ZXJzaW9uIjoiNyIsImdyb3VwcyI6IjMiLC"
    "Jo"
    "aWRkZW4iOiIiLCJpbnB1dF9kaW1zIjoiMyIsImxldmVscyI6IjV4Nis5eDF0IiwibWV0cmljIjoiY29zaW5lIiwicXVhbnRpemVyIjoiZml0dGVkIi"
    "wi"
    "cXVlcnlfbGV2ZWxzIjoiNiIsInJlZHVjZWRfZGltcyI6IjIiLCJyZXNpZHVhbF9mb3JtIjoiY29kZSIsInRyYWluZWQiOiJyYW5kb20gd2VpZ2h0cy"
    "Bm"
    "b3IgYSB0ZXN0IiwidHJpZWRfZ3JvdXBzIjoiMiJ9LCJiYW5kX3dlaWdodHMiOnsiZGF0YV9vZmZzZXRzIjpbMCwxMl0sImR0eXBlIjoiRjMyIiwic2"
    "hh"
    "cGUiOlszXX0sImdyb3Vwcy5iYW5kX3dlaWdodHMiOnsiZGF0YV9vZmZzZXRzIjpbMTIsMzZdLCJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMiwzXX0sIm"
    "dy"
    "b3Vwcy5iYXNpcyI6eyJkYXRhX29mZnNldHMiOlszNiwzOV0sImR0eXBlIjoiSTgiLCJzaGFwZSI6WzNdfSwiZ3JvdXBzLm1lYW4iOnsiZGF0YV9vZm"
    "Zz"
    "ZXRzIjpbMzksNzVdLCJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMywzXX0sImdyb3Vwcy5wcm9qZWN0Ijp7ImRhdGFfb2Zmc2V0cyI6Wzc1LDEzMV0sIm"
    "R0"
    "eXBlIjoiSTgiLCJzaGFwZSI6WzIsMTQsMl19LCJncm91cHMucHJvamVjdC5zY2FsZSI6eyJkYXRhX29mZnNldHMiOlsxMzEsMjQzXSwiZHR5cGUiOi"
    "JG"
    "MzIiLCJzaGFwZSI6WzIsMTRdfSwibWVhbiI6eyJkYXRhX29mZnNldHMiOlsyNDMsMjU1XSwiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzNdfSwicmVkdW"
    "Nl"
    "Ijp7ImRhdGFfb2Zmc2V0cyI6WzI1NSwyNjddLCJkdHlwZSI6IkYxNiIsInNoYXBlIjpbMiwzXX19IAAAAD8AAAA9AADAPwAAAD8AAAA9AADAPwAAwD"
    "8A"
    "AMA9AAAgQAABAM2F476KFIQ+udndviJX3L2dtWG9+ETePNJ8ar4tATO9u4DQPWx/gABwgH/"
    "qgGJrgBaAgFATgIDGfyoUgH8wgEOAFICRgDoEf38354CA"
    "vdp/gDJ/"
    "1wOA3YBIf383ADv7OwBqCjsAfr47AKSkOwDc3DsAYkI7AOvLOwBcHDwAZUU7ADOTOwBevjoAWfk7AG4uPADmJjsAyio8ALNTOwDykjsA0DA8"
    "AI3tOwBYGDwAYUE7AIkpPABSkjsAZ6c7AFpaOwCoCDwAtJQ7AD4eO1y6sj1OLse9nS1gPW+797fJtA44crPfNQ==";
constexpr uint32_t kByteCode[] = {13, 27, 30, 31, 8, 18, 74};
constexpr uint32_t kBytePlanes[] = {19, 24, 17, 19, 24, 20, 19, 24, 17, 19, 24, 20, 276, 173, 230, 303, 300, 478,
                                    13, 27, 30, 31, 8,  29, 13, 27, 30, 31, 8,  29, 142, 308, 461, 372, 301, 364,
                                    19, 24, 17, 18, 25, 20, 19, 24, 17, 18, 25, 20, 276, 173, 230, 303, 382, 268};
constexpr char kByteFloats[] =
    "0x1.2963e4p-1 0x1.17ede4p-5 1 0x1.9d85acp-11 0x1.9d85acp-13 0x1.8a976p-7 0x1.88c472p-10 "
    "0x1.88c472p-12 0x1.733dc2p-7 0x1.fed24p-12 0x1.fed24p-14 0x1.e8fa86p-8 -0x1.0262d8p+0 0x1.3465fep-6 0x1.d9d5b2p-7";

// And of version 5, before groups.
constexpr char kTranslatedFile[] =
    "8AcAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJhcmNoaXRlY3R1cmUiOiJyZXNpZHVhbF9tbHAiLCJiYW5kcyI6IjN4NCszeDIrNXgyIiwiY2hlY2tz"
    "dW0iOiJkZjIyNTI5MCIsImZvcm1hdCI6ImJlYnItYmluYXJpemVyIiwiZm9ybWF0X3ZlcnNpb24iOiI1IiwiZ3JvdXBzIjoiMiIsImhpZGRlbiI6"
    "IiIsImlucHV0X2RpbXMiOiIzIiwibGV2ZWxzIjoiM3g2KzV4MiIsIm1ldHJpYyI6ImNvc2luZSIsInF1YW50aXplciI6ImZpdHRlZCIsInF1ZXJ5"
    "X2xldmVscyI6IjYiLCJyZWR1Y2VkX2RpbXMiOiIyIiwicmVzaWR1YWxfZm9ybSI6ImNvZGUiLCJ0cmFpbmVkIjoicmFuZG9tIHdlaWdodHMgZm9y"
    "IGEgdGVzdCIsInRyYW5zbGF0aW9uX2RpbXMiOiIyIiwidHJhbnNsYXRpb25faGlkZGVuIjoiMyIsInRyYW5zbGF0aW9uX3F1ZXJ5X2hpZGRlbiI6"
    "IjMiLCJ0cmllZF9ncm91cHMiOiIyIn0sImJhbmRfd2VpZ2h0cyI6eyJkYXRhX29mZnNldHMiOlswLDEyXSwiZHR5cGUiOiJGMzIiLCJzaGFwZSI6"
    "WzNdfSwiZ3JvdXBzLmJhbmRfd2VpZ2h0cyI6eyJkYXRhX29mZnNldHMiOlsxMiwzNl0sImR0eXBlIjoiRjMyIiwic2hhcGUiOlsyLDNdfSwiZ3Jv"
    "dXBzLm1lYW4iOnsiZGF0YV9vZmZzZXRzIjpbMzYsNjBdLCJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMiwzXX0sImdyb3Vwcy5wcm9qZWN0Ijp7ImRh"
    "dGFfb2Zmc2V0cyI6WzYwLDEyNF0sImR0eXBlIjoiRjE2Iiwic2hhcGUiOlsyLDgsMl19LCJtZWFuIjp7ImRhdGFfb2Zmc2V0cyI6WzEyNCwxMzZd"
    "LCJkdHlwZSI6IkYzMiIsInNoYXBlIjpbM119LCJyZWR1Y2UiOnsiZGF0YV9vZmZzZXRzIjpbMTM2LDE0OF0sImR0eXBlIjoiRjE2Iiwic2hhcGUi"
    "OlsyLDNdfSwidHJhbnNsYXRpb24uY29uc3RhbnRzIjp7ImRhdGFfb2Zmc2V0cyI6WzE0OCwxNTZdLCJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMl19"
    "LCJ0cmFuc2xhdGlvbi5kb2N1bWVudC5iaWFzIjp7ImRhdGFfb2Zmc2V0cyI6WzE1NiwxNjhdLCJkdHlwZSI6IkYzMiIsInNoYXBlIjpbM119LCJ0"
    "cmFuc2xhdGlvbi5kb2N1bWVudC5oaWRkZW4wLmJpYXMiOnsiZGF0YV9vZmZzZXRzIjpbMTY4LDE4MF0sImR0eXBlIjoiRjMyIiwic2hhcGUiOlsz"
    "XX0sInRyYW5zbGF0aW9uLmRvY3VtZW50LmhpZGRlbjAud2VpZ2h0Ijp7ImRhdGFfb2Zmc2V0cyI6WzE4MCwyMDRdLCJkdHlwZSI6IkYzMiIsInNo"
    "YXBlIjpbMywyXX0sInRyYW5zbGF0aW9uLmRvY3VtZW50Lm91dHB1dC5iaWFzIjp7ImRhdGFfb2Zmc2V0cyI6WzIwNCwyMTZdLCJkdHlwZSI6IkYz"
    "MiIsInNoYXBlIjpbM119LCJ0cmFuc2xhdGlvbi5kb2N1bWVudC5vdXRwdXQud2VpZ2h0Ijp7ImRhdGFfb2Zmc2V0cyI6WzIxNiwyNTJdLCJkdHlw"
    "ZSI6IkYzMiIsInNoYXBlIjpbMywzXX0sInRyYW5zbGF0aW9uLmRvY3VtZW50LndlaWdodCI6eyJkYXRhX29mZnNldHMiOlsyNTIsMjc2XSwiZHR5"
    "cGUiOiJGMzIiLCJzaGFwZSI6WzMsMl19LCJ0cmFuc2xhdGlvbi5tZWFuIjp7ImRhdGFfb2Zmc2V0cyI6WzI3NiwyODRdLCJkdHlwZSI6IkYzMiIs"
    "InNoYXBlIjpbMl19LCJ0cmFuc2xhdGlvbi5xdWVyeS5iaWFzIjp7ImRhdGFfb2Zmc2V0cyI6WzI4NCwyOTZdLCJkdHlwZSI6IkYzMiIsInNoYXBl"
    "IjpbM119LCJ0cmFuc2xhdGlvbi5xdWVyeS5oaWRkZW4wLmJpYXMiOnsiZGF0YV9vZmZzZXRzIjpbMjk2LDMwOF0sImR0eXBlIjoiRjMyIiwic2hh"
    "cGUiOlszXX0sInRyYW5zbGF0aW9uLnF1ZXJ5LmhpZGRlbjAud2VpZ2h0Ijp7ImRhdGFfb2Zmc2V0cyI6WzMwOCwzMzJdLCJkdHlwZSI6IkYzMiIs"
    "InNoYXBlIjpbMywyXX0sInRyYW5zbGF0aW9uLnF1ZXJ5Lm91dHB1dC5iaWFzIjp7ImRhdGFfb2Zmc2V0cyI6WzMzMiwzNDRdLCJkdHlwZSI6IkYz"
    "MiIsInNoYXBlIjpbM119LCJ0cmFuc2xhdGlvbi5xdWVyeS5vdXRwdXQud2VpZ2h0Ijp7ImRhdGFfb2Zmc2V0cyI6WzM0NCwzODBdLCJkdHlwZSI6"
    "IkYzMiIsInNoYXBlIjpbMywzXX0sInRyYW5zbGF0aW9uLnF1ZXJ5LndlaWdodCI6eyJkYXRhX29mZnNldHMiOlszODAsNDA0XSwiZHR5cGUiOiJG"
    "MzIiLCJzaGFwZSI6WzMsMl19fSAgICAgAAAAPwAAAD0AAMA/AAAAPwAAAD0AAMA/AADAPwAAwD0AACBAzYXjvooUhD652d2+QOvLPO/LJr6/2Hi+"
    "qTrSO0+0YwJBOe65IDnHruC6STkWNQ22cDBZut68HTrtMd8rBDHDu249IjgytXcxD7QosBgstq1RvQEzl7aztVy6sj1OLse9nS1gPW+797fJtA44"
    "crPfNc3MjD8K16O8lSuEPSSKKDzjF4q862rkvSpX8r0EO5o7IRjHvnfrcr3DdFm+Jr61v6ygEj/giLa8Tj4wvhGcLjyYcfq90ywTv4gF8r6A/fU+"
    "LL1/P889Zb8prvq9OVwDv3Pyvr7PAIk/xfPGPqIjU78+q4S+hlGsvzPyUT7TZ2A/uFatPeGkUrsx8x697auvO32DzbzrT2c8+/UmvcAcTz3uLv8+"
    "4zw/v4KTP7/ZDLM903DcvspvDz8ZXb29c7OnPXvQ0LoUCOA+wT6jP4CtYr8OK5++cLRqv4XtKT6impQ984zGPzgZeD1reZE/aWkhP86oSD6zyk4+"
    "NoT5uw1t2D4=";
constexpr uint32_t kTranslatedCode[] = {2, 1, 5, 6, 4, 5, 18, 31};
constexpr uint32_t kTranslatedPlanes[] = {5, 3, 3, 5, 5, 3, 5, 3, 3, 5, 5, 3, 5, 9,  2,  15, 9, 0,
                                          7, 4, 6, 7, 4, 4, 7, 4, 6, 7, 4, 4, 4, 19, 18, 1,  7, 19};
constexpr char kTranslatedFloats[] =
    "0x1.1fa2a4p-1 0x1.5e2ee2p-2 0 0x1.69608ep-12 0x1.69608ep-14 0x1.56568ep-9 0x1.ac1402p-10 "
    "0x1.ac1402p-12 0x1.a67668p-7 -0x1.6d686ep-3 0x1.7d299cp-3";

// Of version 9: 5x4t+9x1 in two groups of one basis, with errors that are shaped.
constexpr char kWideFile[] =
    "2AMAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJhcmNoaXRlY3R1cmUiOiJyZXNpZHVhbF9tbHAiLCJiYW5kcyI6IjV4Mis1eDJ0Kzl4MSIsImJhc2Vz"
    "IjoiMSIsImNoZWNrc3VtIjoiOGU5NzAxY2QiLCJmb3JtYXQiOiJiZWJyLWJpbmFyaXplciIsImZvcm1hdF92ZXJzaW9uIjoiOSIsImdyb3VwcyI6"
    "IjIiLCJoaWRkZW4iOiIiLCJpbnB1dF9kaW1zIjoiMyIsImxldmVscyI6IjV4NHQrOXgxIiwibWV0cmljIjoiY29zaW5lIiwicXVhbnRpemVyIjoi"
    "Zml0dGVkIiwicXVlcnlfbGV2ZWxzIjoiNyIsInJlZHVjZWRfZGltcyI6IjIiLCJyZXNpZHVhbF9mb3JtIjoiY29kZSIsInRyYWluZWQiOiJyYW5k"
    "b20gd2VpZ2h0cyBmb3IgYSB0ZXN0IiwidHJpZWRfZ3JvdXBzIjoiMiJ9LCJiYW5kX3dlaWdodHMiOnsiZGF0YV9vZmZzZXRzIjpbMCwxMl0sImR0"
    "eXBlIjoiRjMyIiwic2hhcGUiOlszXX0sImdyb3Vwcy5iYW5kX3dlaWdodHMiOnsiZGF0YV9vZmZzZXRzIjpbMTIsMjRdLCJkdHlwZSI6IkYzMiIs"
    "InNoYXBlIjpbMSwzXX0sImdyb3Vwcy5iYXNpcyI6eyJkYXRhX29mZnNldHMiOlsyNCwyNl0sImR0eXBlIjoiSTgiLCJzaGFwZSI6WzJdfSwiZ3Jv"
    "dXBzLm1lYW4iOnsiZGF0YV9vZmZzZXRzIjpbMjYsNTBdLCJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMiwzXX0sImdyb3Vwcy5wcm9qZWN0Ijp7ImRh"
    "dGFfb2Zmc2V0cyI6WzUwLDc4XSwiZHR5cGUiOiJJOCIsInNoYXBlIjpbMSwxNCwyXX0sImdyb3Vwcy5wcm9qZWN0LnNjYWxlIjp7ImRhdGFfb2Zm"
    "c2V0cyI6Wzc4LDEzNF0sImR0eXBlIjoiRjMyIiwic2hhcGUiOlsxLDE0XX0sIm1lYW4iOnsiZGF0YV9vZmZzZXRzIjpbMTM0LDE0Nl0sImR0eXBl"
    "IjoiRjMyIiwic2hhcGUiOlszXX0sInJlZHVjZSI6eyJkYXRhX29mZnNldHMiOlsxNDYsMTU4XSwiZHR5cGUiOiJGMTYiLCJzaGFwZSI6WzIsM119"
    "LCJzcHJlYWQiOnsiZGF0YV9vZmZzZXRzIjpbMTU4LDE2Nl0sImR0eXBlIjoiRjMyIiwic2hhcGUiOlsyXX19ICAgICAAAAA/AAAAPgAAwD8AAAA/"
    "AAAAPgAAwD8AAM2F476KFIQ+udndviJX3L2dtWG9+ETePGx/gABwgH/qgGJrgBaAgFATgIDGfyoUgH8wgEMAO/s7AGoKOwB+vjsApKQ7ANzcOwBi"
    "QjsA68s7AFwcPABlRTsAM5M7AF6+OgBZ+TsAbi48AOYmO1y6sj1OLse9nS1gPW+797fJtA44crPfNQAAgD8AAAA/";
constexpr uint32_t kWideCode[] = {19, 24, 21, 22, 276};
constexpr uint32_t kWidePlanes[] = {19,  24,  17,  19,  24,  20, 28,  19,  24,  17,  19,  24,  20,  28,
                                    276, 173, 238, 359, 418, 51, 274, 19,  24,  17,  19,  25,  28,  17,
                                    19,  24,  17,  19,  25,  28, 17,  276, 173, 238, 291, 486, 247, 448};
constexpr char kWideFloats[] =
    "0x1.1765f4p+0 -0x1.1d76fep-1 0 0x1.9a441ep-10 0x1.9a441ep-13 0x1.ba4cccp-7 0x1.b3cbf4p-11 0x1.b3cbf4p-14 "
    "0x1.dd8836p-8 -0x1.0262d8p+0 0x1.3465fep-6";

// The file with `change` applied to its contents and the checksum made right again.
template <typename Change>
std::string Changed(const Model& model, Change change) {
  SafetensorsFile file = *SafetensorsFile::Parse(*SerializeModel(model));
  change(file);
  file.metadata()["checksum"] = absl::StrFormat("%08x", file.Checksum("checksum"));
  return file.Serialize();
}

std::string ParseError(const std::string& file) {
  const auto parsed = Binarizer::Parse(file);
  EXPECT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << parsed.status();
  return std::string(parsed.status().message());
}

TEST(ModelTest, RoundTripOfEveryForm) {
  for (const bool input_form : {false, true}) {
    for (const bool own_weight : {false, true}) {
      RandomModelOptions options;
      options.form = input_form ? ResidualForm::kInput : ResidualForm::kCode;
      if (input_form || own_weight) options.hidden = {12, 7};
      options.query_projection = own_weight;
      if (own_weight && !input_form) options.query_hidden = {9};
      options.own_residual_weight = own_weight;
      options.feedback = own_weight;
      Model model = RandomModel(options);
      if (input_form) model.row_length = 1.25f;
      const auto file = SerializeModel(model);
      ASSERT_TRUE(file.ok()) << file.status();
      uint32_t checksum = 0;
      const auto parsed = ParseModel(*file, &checksum);
      ASSERT_TRUE(parsed.ok()) << parsed.status();
      EXPECT_EQ(parsed->spec, model.spec);
      EXPECT_EQ(parsed->hidden, model.hidden);
      EXPECT_EQ(parsed->mean, model.mean);
      EXPECT_EQ(parsed->query.linear.weight, model.query.linear.weight);
      EXPECT_EQ(parsed->query_hidden, model.query_hidden);
      EXPECT_EQ(parsed->row_length, model.row_length);
      EXPECT_EQ(parsed->steps[1].feedback, model.steps[1].feedback);
      EXPECT_EQ(*SerializeModel(*parsed), *file);
      const auto binarizer = Binarizer::Parse(*file);
      ASSERT_TRUE(binarizer.ok());
      EXPECT_EQ((*binarizer)->checksum(), checksum);
      EXPECT_GT((*binarizer)->memory_bytes(), size_t{4} * model.spec.dims() * model.input_dims);
    }
  }
}

RandomModelOptions Fitted() {
  RandomModelOptions options;
  options.quantizer = Quantizer::kFitted;
  options.query_levels = 6;
  return options;
}

TEST(ModelTest, FittedQuantizersAreVersionTwo) {
  RandomModelOptions options = Fitted();
  options.query_projection = true;
  options.hidden = {5};
  const Model model = RandomModel(options);
  const std::string file = *SerializeModel(model);
  EXPECT_THAT(file, HasSubstr("\"format_version\":\"2\""));
  EXPECT_THAT(file, HasSubstr("\"quantizer\":\"fitted\""));
  const auto parsed = ParseModel(file);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->quantizer, Quantizer::kFitted);
  EXPECT_EQ(parsed->query_levels, 6u);
  EXPECT_TRUE(parsed->steps.empty());
  EXPECT_EQ(*SerializeModel(*parsed), file);
  // Others stay what programs of before read.
  const std::string recurrent = *SerializeModel(RandomModel({}));
  EXPECT_THAT(recurrent, HasSubstr("\"format_version\":\"1\""));
  EXPECT_EQ(recurrent.find("quantizer"), std::string::npos);
  const auto with = [&](const char* key, const char* value) {
    return ParseError(Changed(model, [&](SafetensorsFile& contents) { contents.metadata()[key] = value; }));
  };
  EXPECT_THAT(with("quantizer", "other"), HasSubstr("'other'; it must be fitted"));
  EXPECT_THAT(with("query_levels", "7"), HasSubstr("4..6"));
  EXPECT_THAT(with("residual_form", "input"), HasSubstr("residual_form code"));
}

RandomModelOptions Grouped() {
  RandomModelOptions options = Fitted();
  options.groups = 3;
  return options;
}

TEST(ModelTest, GroupsAreVersionThree) {
  const Model model = RandomModel(Grouped());
  const std::string file = *SerializeModel(model);
  EXPECT_THAT(file, HasSubstr("\"format_version\":\"3\""));
  const auto parsed = ParseModel(file);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->spec, model.spec);
  EXPECT_EQ(parsed->spec.groups(), 3u);
  EXPECT_EQ(parsed->reduce, model.reduce);
  ASSERT_EQ(parsed->groups.size(), 3u);
  for (size_t g = 0; g < 3; ++g) {
    EXPECT_EQ(parsed->groups[g].mean, model.groups[g].mean);
    EXPECT_EQ(parsed->groups[g].basis, g);
    EXPECT_EQ(parsed->bases[g].band_weights, model.bases[g].band_weights);
    EXPECT_EQ(parsed->bases[g].project, model.bases[g].project);
  }
  EXPECT_EQ(*SerializeModel(*parsed), file);
  const auto binarizer = Binarizer::Parse(file);
  ASSERT_TRUE(binarizer.ok()) << binarizer.status();
  EXPECT_EQ((*binarizer)->spec().groups(), 3u);
  EXPECT_THAT((*binarizer)->description(), HasSubstr("3 groups"));
  EXPECT_FALSE(Encoder::Create(model, 0).ok());
}

TEST(ModelTest, WhatGroupsLackOrMayNotHaveIsNamed) {
  const Model model = RandomModel(Grouped());
  const auto with = [&](const char* key, const char* value) {
    return ParseError(Changed(model, [&](SafetensorsFile& contents) { contents.metadata()[key] = value; }));
  };
  EXPECT_THAT(with("groups", "1"), HasSubstr("2..64"));
  EXPECT_THAT(with("groups", "4"), HasSubstr("'groups.mean' has shape [3,24]; expected [4,24]"));
  EXPECT_THAT(with("reduced_dims", "25"), HasSubstr("1..24"));
  EXPECT_THAT(with("hidden", "5"), HasSubstr("no hidden layers"));
  EXPECT_THAT(
      ParseError(Changed(
          model, [](SafetensorsFile& contents) { contents.tensors()["groups.band_weights"].values[1] = 0.0f; })),
      HasSubstr("'groups.band_weights' holds 0"));
  Model wrong = model;
  wrong.groups.pop_back();
  EXPECT_THAT(std::string(SerializeModel(wrong).status().message()), HasSubstr("2 groups; expected 3"));
  wrong = model;
  wrong.quantizer = Quantizer::kRecurrent;
  EXPECT_FALSE(SerializeModel(wrong).ok());
}

TEST(ModelTest, FurtherLevelsAreVersionFour) {
  for (const bool grouped : {false, true}) {
    RandomModelOptions options = grouped ? Grouped() : Fitted();
    options.levels = "8x7+9x2";
    if (grouped) options.tried_groups = 2;
    const Model model = RandomModel(options);
    const std::string file = *SerializeModel(model);
    EXPECT_THAT(file, HasSubstr("\"format_version\":\"4\""));
    EXPECT_THAT(file, HasSubstr("\"bands\":\"8x4+8x3+9x2\""));
    const auto parsed = ParseModel(file);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->spec, model.spec);
    ASSERT_TRUE(parsed->fine.has_value());
    EXPECT_EQ(parsed->fine->levels, model.fine->levels);
    EXPECT_EQ(parsed->fine->tried_groups, options.tried_groups);
    EXPECT_EQ(*SerializeModel(*parsed), file);
    EXPECT_THAT((*Binarizer::Parse(file))->description(), HasSubstr("8x7+9x2"));
    const auto with = [&](const char* key, const char* value) {
      return ParseError(Changed(model, [&](SafetensorsFile& contents) { contents.metadata()[key] = value; }));
    };
    EXPECT_THAT(with("levels", "8x9+9x2"), HasSubstr("9 levels; they have 1 to 8"));
    EXPECT_THAT(with("levels", "8x6+9x2"), HasSubstr("other bands"));
    EXPECT_THAT(with("levels", "8x4+8x3+9x2"), HasSubstr("project"));
    if (grouped) {
      EXPECT_THAT(with("tried_groups", "4"), HasSubstr("1..3"));
    } else {
      EXPECT_THAT(ParseError(Changed(
                      model, [](SafetensorsFile& contents) { contents.tensors()["band_weights"].values[1] = 0.5f; })),
                  HasSubstr("a sixteenth"));
    }
  }
  Model wrong = RandomModel({});
  wrong.fine = FineRules{.levels = wrong.spec};
  EXPECT_THAT(std::string(SerializeModel(wrong).status().message()), HasSubstr("fitted"));
}

TEST(ModelTest, TranslationsAreVersionFive) {
  for (const bool grouped : {false, true}) {
    for (const bool fine : {false, true}) {
      RandomModelOptions options = grouped ? Grouped() : Fitted();
      if (fine) options.levels = "8x7+9x2";
      if (fine && grouped) options.tried_groups = 2;
      options.metric = fine ? Metric::kInnerProduct : Metric::kCosine;
      options.translation_dims = 30;
      options.translation_hidden = fine ? std::vector<uint32_t>{5, 6} : std::vector<uint32_t>();
      options.translated_queries = fine;
      const Model model = RandomModel(options);
      const std::string file = *SerializeModel(model);
      EXPECT_THAT(file, HasSubstr("\"format_version\":\"5\""));
      const auto parsed = ParseModel(file);
      ASSERT_TRUE(parsed.ok()) << parsed.status();
      EXPECT_EQ(parsed->spec, model.spec);
      EXPECT_EQ(parsed->fine.has_value(), fine);
      ASSERT_TRUE(parsed->translation.has_value());
      EXPECT_EQ(parsed->embedding_dims(), 30u);
      EXPECT_EQ(parsed->translation->mean, model.translation->mean);
      EXPECT_EQ(parsed->translation->document.linear.weight, model.translation->document.linear.weight);
      EXPECT_EQ(parsed->translation->query.linear.weight, model.translation->query.linear.weight);
      EXPECT_EQ(parsed->translation->row_length, model.translation->row_length);
      EXPECT_EQ(parsed->translation->document_scale, 1.1f);
      EXPECT_EQ(*SerializeModel(*parsed), file);
      EXPECT_THAT((*Binarizer::Parse(file))->description(), HasSubstr("30-d translated to 24-d"));
      EXPECT_FALSE(Encoder::Create(model, 0).ok());
    }
  }
}

TEST(ModelTest, WhatATranslationLacksOrMayNotHaveIsNamed) {
  RandomModelOptions options = Grouped();
  options.translation_dims = 30;
  const Model model = RandomModel(options);
  const auto with = [&](const char* key, const char* value) {
    return ParseError(Changed(model, [&](SafetensorsFile& contents) { contents.metadata()[key] = value; }));
  };
  EXPECT_THAT(with("translation_dims", "0"), HasSubstr("1..8192"));
  EXPECT_THAT(with("translation_dims", "31"), HasSubstr("'translation.mean' has shape [30]; expected [31]"));
  EXPECT_THAT(with("translation_hidden", "5"), HasSubstr("'translation.document.hidden0.weight' is missing"));
  EXPECT_THAT(with("translation_query_hidden", ""), HasSubstr("'translation.query.weight' is missing"));
  EXPECT_THAT(with("translation_row_length", "nan"), HasSubstr("translation_row_length"));
  EXPECT_THAT(with("format_version", "3"), HasSubstr("does not belong"));
  EXPECT_THAT(ParseError(Changed(
                  model, [](SafetensorsFile& contents) { contents.tensors()["translation.constants"].values[0] = 0; })),
              HasSubstr("a scale of 0"));
  Model wrong = RandomModel({});
  wrong.translation = model.translation;
  EXPECT_THAT(std::string(SerializeModel(wrong).status().message()), HasSubstr("quantizer fitted"));
}

// A file of version 2 as the first program that wrote them did, and what it made of one row.
TEST(ModelTest, AFittedModelFileStaysReadable) {
  std::string file;
  ASSERT_TRUE(absl::Base64Unescape(kFittedFile, &file));
  const auto binarizer = Binarizer::Parse(file);
  ASSERT_TRUE(binarizer.ok()) << binarizer.status();
  const float row[] = {0.3f, -1.0f, 2.0f};
  uint32_t code[3], planes[12];
  CodeFactors factors;
  float weights[2], offset = 0.0f;
  (*binarizer)->EncodeDocuments(row, 1, code, &factors);
  (*binarizer)->EncodeQueries(row, 1, planes, weights, &offset);
  EXPECT_THAT(code, ElementsAreArray(kFittedCode));
  EXPECT_THAT(planes, ElementsAreArray(kFittedPlanes));
  EXPECT_EQ(absl::StrFormat("%a %a %a %a %a", factors.scale, factors.offset, weights[0], weights[1], offset),
            kFittedFloats);
  Model model = *ParseModel(file);
  EXPECT_EQ(*SerializeModel(model), file);
}

TEST(ModelTest, ModelFilesWithGroupsStayReadable) {
  struct Kept {
    const char* file;
    std::vector<uint32_t> code, planes;
    const char* floats;
  };
  for (const Kept& kept : {Kept{kGroupedFile,
                                {std::begin(kGroupedCode), std::end(kGroupedCode)},
                                {std::begin(kGroupedPlanes), std::end(kGroupedPlanes)},
                                kGroupedFloats},
                           Kept{kFineFile,
                                {std::begin(kFineCode), std::end(kFineCode)},
                                {std::begin(kFinePlanes), std::end(kFinePlanes)},
                                kFineFloats},
                           Kept{kTranslatedFile,
                                {std::begin(kTranslatedCode), std::end(kTranslatedCode)},
                                {std::begin(kTranslatedPlanes), std::end(kTranslatedPlanes)},
                                kTranslatedFloats},
                           Kept{kTrellisFile,
                                {std::begin(kTrellisCode), std::end(kTrellisCode)},
                                {std::begin(kTrellisPlanes), std::end(kTrellisPlanes)},
                                kTrellisFloats},
                           Kept{kByteFile,
                                {std::begin(kByteCode), std::end(kByteCode)},
                                {std::begin(kBytePlanes), std::end(kBytePlanes)},
                                kByteFloats},
                           Kept{kWideFile,
                                {std::begin(kWideCode), std::end(kWideCode)},
                                {std::begin(kWidePlanes), std::end(kWidePlanes)},
                                kWideFloats}}) {
    std::string file;
    ASSERT_TRUE(absl::Base64Unescape(kept.file, &file));
    const auto binarizer = Binarizer::Parse(file);
    ASSERT_TRUE(binarizer.ok()) << binarizer.status();
    const float row[] = {0.3f, -1.0f, 2.0f};
    std::vector<uint32_t> code(kept.code.size()), planes(kept.planes.size());
    CodeFactors factors;
    const size_t groups = (*binarizer)->spec().groups();
    std::vector<float> weights(groups * (*binarizer)->spec().bands().size()), offsets(groups);
    (*binarizer)->EncodeDocuments(row, 1, code.data(), &factors);
    (*binarizer)->EncodeQueries(row, 1, planes.data(), weights.data(), offsets.data());
    EXPECT_EQ(code, kept.code);
    EXPECT_EQ(planes, kept.planes);
    std::string floats = absl::StrFormat("%a %a %d", factors.scale, factors.offset, factors.group);
    for (const float weight : weights) absl::StrAppend(&floats, absl::StrFormat(" %a", weight));
    for (const float offset : offsets) absl::StrAppend(&floats, absl::StrFormat(" %a", offset));
    EXPECT_EQ(floats, kept.floats);
    EXPECT_EQ(*SerializeModel(*ParseModel(file)), file);
  }
}

TEST(ModelTest, TrellisCodesAreVersionSix) {
  for (const bool grouped : {false, true}) {
    for (const uint32_t translation_dims : {0u, 5u}) {
      RandomModelOptions options = grouped ? Grouped() : Fitted();
      options.levels = "8x7+9x2t+40x1t";
      options.translation_dims = translation_dims;
      const Model model = RandomModel(options);
      const std::string file = *SerializeModel(model);
      EXPECT_THAT(file, HasSubstr("\"format_version\":\"6\""));
      EXPECT_THAT(file, HasSubstr("\"bands\":\"8x4+8x3+9x2t+40x1t\""));
      const auto parsed = ParseModel(file);
      ASSERT_TRUE(parsed.ok()) << parsed.status();
      EXPECT_EQ(parsed->spec, model.spec);
      EXPECT_EQ(parsed->fine->levels, model.fine->levels);
      EXPECT_EQ(parsed->translation.has_value(), translation_dims != 0);
      EXPECT_EQ(*SerializeModel(*parsed), file);
      EXPECT_THAT((*Binarizer::Parse(file))->description(), HasSubstr("8x7+9x2t+40x1t (114 bits)"));
      const auto with = [&](const char* key, const char* value) {
        return ParseError(Changed(model, [&](SafetensorsFile& contents) { contents.metadata()[key] = value; }));
      };
      EXPECT_THAT(with("format_version", "4"), HasSubstr("trellis codes need format_version 6"));
      EXPECT_THAT(with("bands", "8x4+8x3+9x2+40x1t"), HasSubstr("other bands"));
      EXPECT_THAT(with("levels", "8x7+9x5t+40x1t"), HasSubstr("at most 4"));
      EXPECT_THAT(with("levels", "8x7+9x4t+40x1t"), HasSubstr("need format_version 8"));
    }
  }
  Model recurrent = RandomModel(RandomModelOptions{});
  recurrent.spec = *ParseCodeSpec("40x1t+33x2+8x4");
  EXPECT_THAT(std::string(SerializeModel(recurrent).status().message()), HasSubstr("need a fitted quantizer"));
}

TEST(ModelTest, BasesOfBytesAreVersionSeven) {
  for (const char* levels : {"8x7+9x2+40x1", "8x7+9x2t+40x1t"}) {
    for (const uint32_t translation_dims : {0u, 5u}) {
      RandomModelOptions options = Grouped();
      options.groups = 5;
      options.bases = 2;
      options.levels = levels;
      options.tried_groups = 4;
      options.translation_dims = translation_dims;
      const Model model = RandomModel(options);
      ASSERT_EQ(model.bases.size(), 2u);
      const std::string file = *SerializeModel(model);
      EXPECT_THAT(file, HasSubstr("\"format_version\":\"7\""));
      EXPECT_THAT(file, HasSubstr("\"dtype\":\"I8\""));
      const auto parsed = ParseModel(file);
      ASSERT_TRUE(parsed.ok()) << parsed.status();
      EXPECT_TRUE(parsed->byte_bases);
      EXPECT_EQ(parsed->spec, model.spec);
      EXPECT_EQ(parsed->reduce, model.reduce);
      for (size_t b = 0; b < 2; ++b) {
        EXPECT_EQ(parsed->bases[b].project, model.bases[b].project);
        EXPECT_EQ(parsed->bases[b].band_weights, model.bases[b].band_weights);
      }
      for (size_t g = 0; g < 5; ++g) {
        EXPECT_EQ(parsed->groups[g].mean, model.groups[g].mean);
        EXPECT_EQ(parsed->groups[g].basis, g % 2);
      }
      EXPECT_EQ(*SerializeModel(*parsed), file);
      EXPECT_TRUE(Binarizer::Parse(file).ok());
    }
  }
}

TEST(ModelTest, WhatBasesOfBytesLackOrMayNotHaveIsNamed) {
  RandomModelOptions options = Grouped();
  options.bases = 2;
  options.levels = "8x7+9x2+40x1";
  const Model model = RandomModel(options);
  const auto changed = [&](auto change) { return ParseError(Changed(model, change)); };
  const auto with = [&](const char* key, const char* value) {
    return changed([&](SafetensorsFile& contents) { contents.metadata()[key] = value; });
  };
  EXPECT_THAT(with("bases", "0"), HasSubstr("1..3"));
  EXPECT_THAT(with("bases", "4"), HasSubstr("1..3"));
  EXPECT_THAT(with("bases", "3"), HasSubstr("expected [3,"));
  EXPECT_THAT(changed([](SafetensorsFile& file) {
                for (const char* key : {"groups", "bases"}) file.metadata()[key] = "64";
                for (const char* key : {"input_dims", "reduced_dims"}) file.metadata()[key] = "8192";
                for (const char* key : {"bands", "levels"}) file.metadata()[key] = "8192x1";
              }),
              HasSubstr("4294967296 values; the limit is 536870912"));
  EXPECT_THAT(with("format_version", "4"), HasSubstr("'groups.band_weights' has shape [2,4]; expected [3,4]"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.metadata().erase("levels"); }),
              HasSubstr("'levels' is missing"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.metadata().erase("groups"); }),
              HasSubstr("'groups' is missing"));
  for (const float basis : {2.0f, -1.0f}) {
    EXPECT_THAT(changed([&](SafetensorsFile& file) { file.tensors()["groups.basis"].values[1] = basis; }),
                HasSubstr("there are 2 bases"));
  }
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.tensors()["groups.project"].type = TensorType::kF16; }),
              HasSubstr("'groups.project' is F16; it must be I8"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.tensors()["mean"].type = TensorType::kI8; }),
              HasSubstr("'mean' is I8; it must be F32"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.tensors().erase("groups.project.scale"); }),
              HasSubstr("'groups.project.scale' is missing"));
  Model wrong = model;
  wrong.byte_bases = false;
  EXPECT_THAT(std::string(SerializeModel(wrong).status().message()), HasSubstr("2 bases for 3 groups"));
  wrong = model;
  wrong.groups[1].basis = 2;
  EXPECT_THAT(std::string(SerializeModel(wrong).status().message()), HasSubstr("group 1 has basis 2 of 2"));
}

TEST(ModelTest, TrellisCodesOfFourLevelsAndShapedErrorsAreVersionEight) {
  for (const char* levels : {"8x7+9x2+40x1", "8x4t+9x2t"}) {
    for (const bool spread : {false, true}) {
      for (const uint32_t bases : {0u, 2u}) {
        RandomModelOptions options = Grouped();
        options.bases = bases;
        options.levels = levels;
        options.tried_groups = 2;
        options.spread = spread;
        const Model model = RandomModel(options);
        const bool trellis = model.spec.trellis();
        const std::string file = *SerializeModel(model);
        const char* version = trellis || spread ? "8" : bases > 0 ? "7" : "4";
        EXPECT_THAT(file, HasSubstr(absl::StrCat("\"format_version\":\"", version, "\"")));
        if (trellis) {
          EXPECT_THAT(file, HasSubstr("\"bands\":\"8x2+8x2t+9x2t\""));
        }
        const auto parsed = ParseModel(file);
        ASSERT_TRUE(parsed.ok()) << parsed.status();
        EXPECT_EQ(parsed->spread, model.spread);
        EXPECT_EQ(parsed->byte_bases, bases > 0);
        EXPECT_EQ(parsed->fine->levels, model.fine->levels);
        EXPECT_EQ(*SerializeModel(*parsed), file);
        EXPECT_TRUE(Binarizer::Parse(file).ok());
      }
    }
  }
  RandomModelOptions options = Fitted();
  options.levels = "8x4t+9x2t";
  const std::string file = *SerializeModel(RandomModel(options));
  EXPECT_THAT(file, HasSubstr("\"format_version\":\"8\""));
  EXPECT_THAT((*Binarizer::Parse(file))->description(), HasSubstr("8x4t+9x2t (50 bits)"));
}

// Whatever else the model has.
TEST(ModelTest, QueriesOfSevenLevelsAreVersionNine) {
  RandomModelOptions shaped = Grouped();
  shaped.bases = 2;
  shaped.levels = "8x4t+9x2t";
  shaped.tried_groups = 2;
  shaped.spread = true;
  RandomModelOptions translated = Fitted();
  translated.levels = "8x7+9x2+40x1";
  translated.translation_dims = 5;
  RandomModelOptions halves = Grouped();
  halves.levels = "8x7+9x2t";
  for (RandomModelOptions options : {Fitted(), Grouped(), shaped, translated, halves}) {
    options.query_levels = 7;
    const Model model = RandomModel(options);
    const std::string file = *SerializeModel(model);
    EXPECT_THAT(file, HasSubstr("\"format_version\":\"9\""));
    const auto parsed = ParseModel(file);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->query_levels, 7u);
    EXPECT_EQ(parsed->spread, model.spread);
    EXPECT_EQ(parsed->byte_bases, model.byte_bases);
    EXPECT_EQ(parsed->fine.has_value(), model.fine.has_value());
    EXPECT_EQ(parsed->translation.has_value(), model.translation.has_value());
    EXPECT_EQ(*SerializeModel(*parsed), file);
    EXPECT_EQ((*Binarizer::Parse(file))->query_levels(), 7u);
    const auto with = [&](const char* key, const char* value) {
      return ParseError(Changed(model, [&](SafetensorsFile& contents) { contents.metadata()[key] = value; }));
    };
    EXPECT_THAT(with("query_levels", "8"), HasSubstr("..7"));
    EXPECT_THAT(with("format_version", "8"), HasSubstr(options.levels.empty() ? "levels" : "..6"));
  }
}

RandomModelOptions Spanned() {
  RandomModelOptions options = Grouped();
  options.bases = 2;
  options.levels = "3x7+2x2+4x1";
  options.reduced_dims = 12;
  options.spans = true;
  return options;
}

// Whatever else the model has.
TEST(ModelTest, BasesOfSpansAreVersionTen) {
  for (const char* levels : {"3x7+2x2+4x1", "2x4t+8x2t", "12x2", "11x1"}) {
    for (const bool more : {false, true}) {
      RandomModelOptions options = Spanned();
      options.levels = levels;
      options.spread = more;
      options.translation_dims = more ? 5 : 0;
      options.query_levels = more ? 7 : 6;
      const Model model = RandomModel(options);
      const std::string file = *SerializeModel(model);
      EXPECT_THAT(file, HasSubstr("\"format_version\":\"10\""));
      const auto parsed = ParseModel(file);
      ASSERT_TRUE(parsed.ok()) << parsed.status();
      EXPECT_TRUE(parsed->byte_bases);
      EXPECT_EQ(parsed->rotation, model.rotation);
      EXPECT_EQ(parsed->spread, model.spread);
      EXPECT_EQ(parsed->translation.has_value(), more);
      for (size_t b = 0; b < 2; ++b) {
        EXPECT_EQ(parsed->bases[b].project, model.bases[b].project);
        EXPECT_EQ(parsed->bases[b].band_weights, model.bases[b].band_weights);
        EXPECT_EQ(parsed->bases[b].spans.leads, model.bases[b].spans.leads);
        EXPECT_EQ(parsed->bases[b].spans.bytes, model.bases[b].spans.bytes);
        EXPECT_EQ(parsed->bases[b].spans.scales, model.bases[b].spans.scales);
      }
      EXPECT_EQ(*SerializeModel(*parsed), file);
      EXPECT_TRUE(Binarizer::Parse(file).ok());
    }
  }
}

TEST(ModelTest, WhatIsWrongWithSpansIsNamed) {
  const Model model = RandomModel(Spanned());
  const auto changed = [&](auto change) { return ParseError(Changed(model, change)); };
  const auto with = [&](const char* tensor, size_t at, float value) {
    return changed([&](SafetensorsFile& file) { file.tensors()[tensor].values[at] = value; });
  };
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.metadata()["format_version"] = "9"; }),
              HasSubstr("'groups.project' is missing"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.metadata().erase("bases"); }), HasSubstr("'bases' is missing"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.metadata()["reduced_dims"] = "8"; }), HasSubstr("expected [8,"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.tensors().erase("groups.leads"); }),
              HasSubstr("'groups.leads' is missing"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.tensors()["rotation"].type = TensorType::kF16; }),
              HasSubstr("'rotation' is F16; it must be I8"));
  for (const float lead : {-2.0f, 2.0f, 3.0f}) EXPECT_THAT(with("groups.leads", 0, lead), HasSubstr("'groups.leads'"));
  for (const float scale : {0.0f, -0.1f, 1.01f})
    EXPECT_THAT(with("groups.spans.scale", 1, scale), HasSubstr("above 0 and at most 1"));
  EXPECT_THAT(with("groups.band_weights", 0, -1.0f), HasSubstr("'groups.band_weights' holds -1"));
  Model wrong = model;
  wrong.byte_bases = false;
  wrong.bases.resize(3);
  EXPECT_FALSE(SerializeModel(wrong).ok());
  wrong = model;
  wrong.bases[0].spans.bytes.pop_back();
  EXPECT_THAT(std::string(SerializeModel(wrong).status().message()), HasSubstr("groups.spans"));
  RandomModelOptions wide = Spanned();
  wide.spans = false;
  wide.levels = "24x1";
  wrong = RandomModel(wide);
  wrong.rotation = {1.0f};
  EXPECT_THAT(std::string(SerializeModel(wrong).status().message()), HasSubstr("more than spans may have"));
}

TEST(ModelTest, WhatIsWrongWithASpreadIsNamed) {
  RandomModelOptions options = Grouped();
  options.bases = 2;
  options.levels = "8x7+9x2+40x1";
  options.spread = true;
  const Model model = RandomModel(options);
  const auto changed = [&](auto change) { return ParseError(Changed(model, change)); };
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.metadata()["format_version"] = "7"; }), HasSubstr("spread"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.tensors()["spread"].values[1] = 0.0f; }),
              HasSubstr("'spread' holds 0"));
  EXPECT_THAT(changed([](SafetensorsFile& file) {
                file.tensors()["spread"] = {{1}, {1.0f}};
              }),
              HasSubstr("'spread' has shape [1]"));
  options.levels = "1032x1";
  EXPECT_THAT(std::string(SerializeModel(RandomModel(options)).status().message()),
              HasSubstr("'spread' is of 1032 components of 2 bases; it may be of 1024"));
}

TEST(ModelTest, EveryFlippedByteIsNoticed) {
  RandomModelOptions options;
  options.shape = "8x1";
  options.input_dims = 3;
  options.query_levels = 2;
  RandomModelOptions grouped = Grouped();
  grouped.shape = "8x1";
  grouped.input_dims = 3;
  grouped.reduced_dims = 2;
  RandomModelOptions translated = grouped;
  translated.translation_dims = 2;
  RandomModelOptions trellis = grouped;
  trellis.levels = "8x1t";
  RandomModelOptions bytes = trellis;
  bytes.bases = 2;
  RandomModelOptions shaped = bytes;
  shaped.levels = "8x4t";
  shaped.spread = true;
  RandomModelOptions wide = shaped;
  wide.query_levels = 7;
  RandomModelOptions spanned = bytes;
  spanned.input_dims = spanned.reduced_dims = 9;
  spanned.spans = true;
  for (const RandomModelOptions& of_file : {options, grouped, translated, trellis, bytes, shaped, wide, spanned}) {
    const std::string file = *SerializeModel(RandomModel(of_file));
    const auto original = Binarizer::Parse(file);
    ASSERT_TRUE(original.ok()) << original.status();
    for (size_t i = 0; i < file.size(); ++i) {
      for (const char flip : {char{1}, char{64}}) {
        std::string damaged = file;
        damaged[i] = static_cast<char>(damaged[i] ^ flip);
        EXPECT_FALSE(Binarizer::Parse(damaged).ok()) << "byte " << i << " of " << file.size();
      }
    }
  }
}

TEST(ModelTest, NamesTheFieldOrTensor) {
  const Model model = RandomModel({});
  const auto with = [&](const char* key, const char* value) {
    return ParseError(Changed(model, [&](SafetensorsFile& file) { file.metadata()[key] = value; }));
  };
  EXPECT_THAT(with("format", "other"), HasSubstr("'other'"));
  EXPECT_THAT(with("format_version", "11"), HasSubstr("version '11'"));
  EXPECT_THAT(with("format_version", "9"), HasSubstr("'quantizer' is missing"));
  EXPECT_THAT(with("format_version", "7"), HasSubstr("'quantizer' is missing"));
  EXPECT_THAT(with("format_version", "5"), HasSubstr("'quantizer' is missing"));
  EXPECT_THAT(with("format_version", "2"), HasSubstr("'quantizer' is missing"));
  EXPECT_THAT(with("architecture", "x"), HasSubstr("architecture 'x'"));
  EXPECT_THAT(with("metric", "hamming"), HasSubstr("hamming"));
  EXPECT_THAT(with("input_dims", "8193"), HasSubstr("1..8192"));
  EXPECT_THAT(with("input_dims", "0"), HasSubstr("input_dims"));
  EXPECT_THAT(with("input_dims", "25"), HasSubstr("tensor 'mean' has shape [24]; expected [25]"));
  EXPECT_THAT(with("bands", "8x5"), HasSubstr("levels"));
  EXPECT_THAT(with("query_levels", "3"), HasSubstr("4..4"));
  EXPECT_THAT(with("hidden", "1,2,3,4,5"), HasSubstr("hidden"));
  EXPECT_THAT(with("hidden", "99999"), HasSubstr("hidden"));
  EXPECT_THAT(with("residual_form", "x"), HasSubstr("residual_form"));
  const auto changed = [&](auto change) { return ParseError(Changed(model, change)); };
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.metadata()["row_length"] = "nan"; }), HasSubstr("row_length"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.metadata().erase("trained"); }),
              HasSubstr("'trained' is missing"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.tensors().erase("step2.gain"); }),
              HasSubstr("'step2.gain' is missing"));
  EXPECT_THAT(changed([](SafetensorsFile& file) {
                file.tensors()["more"] = {{1}, {0.0f}};
              }),
              HasSubstr("'more' does not belong"));
  EXPECT_THAT(changed([](SafetensorsFile& file) { file.tensors()["band_weights"].values[0] = -1.0f; }),
              HasSubstr("weight -1"));
  EXPECT_THAT(changed([](SafetensorsFile& file) {
                file.tensors()["project.weight"].shape = {24, 81};
              }),
              HasSubstr("project.weight"));
}

// The worked example of index/binarizer/FORMAT.md.
TEST(ModelTest, WorkedExample) {
  Model model;
  model.architecture = "median";
  model.input_dims = 2;
  model.spec = *CodeSpec::Create({{8, 1, 1.0f}});
  model.query_levels = 1;
  model.mean.assign(2, 0.0f);
  model.project.linear.weight = {1, 0, -1, 0, 0, 1, 0, -1, 1, 1, -1, -1, 1, -1, -1, 1};
  model.project.linear.bias.assign(8, 0.0f);
  const auto text = SerializeModel(model);
  ASSERT_TRUE(text.ok()) << text.status();
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, text->data(), sizeof(header_bytes));
  EXPECT_EQ(text->size(), sizeof(header_bytes) + header_bytes + 108);
  const auto file = SafetensorsFile::Parse(*text);
  ASSERT_TRUE(file.ok()) << file.status();
  std::map<std::string, std::vector<uint64_t>> shapes;
  for (const auto& [name, tensor] : file->tensors()) {
    shapes[name].assign(tensor.shape.begin(), tensor.shape.end());
  }
  const std::map<std::string, std::vector<uint64_t>> stated = {
      {"mean", {2}}, {"band_weights", {1}}, {"project.weight", {8, 2}}, {"project.bias", {8}}};
  EXPECT_EQ(shapes, stated);
  EXPECT_EQ(model.spec.code_words(), 1u);
  EXPECT_EQ(model.spec.bits(), 8u);
}

TEST(ModelTest, WorkedExamplesWithGroups) {
  RandomModelOptions options = Grouped();
  options.shape = "8x1";
  options.input_dims = 3;
  options.reduced_dims = 2;
  options.groups = 2;
  for (const uint32_t translation_dims : {0u, 2u}) {
    options.translation_dims = translation_dims;
    const std::string text = *SerializeModel(RandomModel(options));
    uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, text.data(), sizeof(header_bytes));
    EXPECT_EQ(text.size(), sizeof(header_bytes) + header_bytes + (translation_dims == 0 ? 124 : 176));
  }
  options.translation_dims = 0;
  options.levels = "8x1";
  options.bases = 1;
  const std::string text = *SerializeModel(RandomModel(options));
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, text.data(), sizeof(header_bytes));
  EXPECT_EQ(text.size(), sizeof(header_bytes) + header_bytes + 106);
  options.input_dims = options.reduced_dims = 9;
  options.spans = true;
  const std::string spanned = *SerializeModel(RandomModel(options));
  std::memcpy(&header_bytes, spanned.data(), sizeof(header_bytes));
  EXPECT_EQ(spanned.size(), sizeof(header_bytes) + header_bytes + 365);
}

TEST(ModelTest, SerializeRefusesWhatParseWould) {
  Model model = RandomModel({});
  model.steps.pop_back();
  EXPECT_THAT(std::string(SerializeModel(model).status().message()), HasSubstr("2 steps; expected 3"));
  model = RandomModel({});
  model.project.linear.weight.pop_back();
  EXPECT_THAT(std::string(SerializeModel(model).status().message()), HasSubstr("project.weight"));
}

// Its pages are given back while it is read: nothing is read of them afterwards.
TEST(OpenBinarizerTest, IsThatOfTheFile) {
  for (const RandomModelOptions& options :
       {RandomModelOptions{.input_dims = 300, .hidden = {200}, .query_projection = true},
        {.input_dims = 200,
        .shape = "128x2",
        .query_levels = 6,
        .quantizer = Quantizer::kFitted,
        .groups = 5,
        .reduced_dims = 100},
        {.input_dims = 200,
        .query_levels = 6,
        .quantizer = Quantizer::kFitted,
        .groups = 5,
        .reduced_dims = 100,
        .bases = 3,
        .levels = "8x7+9x2+40x1"},
        {.input_dims = 200,
        .query_levels = 6,
        .quantizer = Quantizer::kFitted,
        .groups = 5,
        .reduced_dims = 100,
        .bases = 3,
        .spans = true,
        .levels = "8x7+9x2+40x1"}}) {
    const std::string file = *SerializeModel(RandomModel(options));
    const auto parsed = *Binarizer::Parse(file);
    const auto opened = OpenBinarizer(file);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ((*opened)->checksum(), parsed->checksum());
    const size_t rows = 20, words = parsed->spec().code_words();
    const std::vector<float> embeddings = RandomRows(rows, options.input_dims, 3);
    std::vector<uint32_t> expected(rows * words), codes(rows * words);
    std::vector<CodeFactors> expected_factors(rows), factors(rows);
    parsed->EncodeDocuments(embeddings.data(), rows, expected.data(), expected_factors.data());
    (*opened)->EncodeDocuments(embeddings.data(), rows, codes.data(), factors.data());
    EXPECT_EQ(codes, expected);
    for (size_t r = 0; r < rows; ++r) EXPECT_EQ(factors[r].scale, expected_factors[r].scale);
    std::string damaged = file;
    damaged[damaged.size() - 5] ^= 1;
    EXPECT_FALSE(OpenBinarizer(damaged).ok());
  }
}

}  // namespace
}  // namespace bebr
