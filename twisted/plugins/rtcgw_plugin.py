"""Makes `twistd rtcgw` known. Imports nothing of rtcgw: every other twistd command loads this file too."""

from twisted.application.service import ServiceMaker

rtcgw = ServiceMaker("rtcgw", "rtcgw.tap", "Gives web browsers the services of an IMS network.", "rtcgw")
