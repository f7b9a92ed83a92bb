#!/usr/bin/env python3
"""Sends one message the way scripts do it, with smtplib.

usage: mail.py ADDRESS PORT clear|starttls USER|- FROM TO SUBJECT BODY_FILE ATTACHMENT|-
"""
import smtplib, ssl, sys
from email.message import EmailMessage
from os.path import basename

address, port, security, user, sender, to, subject, body, attachment = sys.argv[1:]
message = EmailMessage()
message["From"], message["To"], message["Subject"] = sender, to, subject
message.set_content(open(body, encoding="utf-8", errors="replace").read())
if attachment != "-":
    message.add_attachment(open(attachment, "rb").read(), maintype="application", subtype="zip", filename=basename(attachment))
with smtplib.SMTP(address, int(port), timeout=50) as server:
    if security == "starttls":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        server.starttls(context=context)
    if user != "-":
        server.login(user, "correct-horse")
    server.send_message(message, sender, to.split(","))
